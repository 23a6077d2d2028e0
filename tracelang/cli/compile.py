"""`tracec compile`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.files import found_in
from tracelang.cli.options import read_recipe, recipe_options
from tracelang.cli.writing import is_standard_output, write_text
from tracelang.diagnostics.data import as_data
from tracelang.plan.compile import compile_with_findings
from tracelang.text import safe

NOTHING_ERASED = "TL308"


@click.command(help="Compile each RECIPE (a file, a folder, or - for standard input) to a plan.")
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Where the plan goes: beside the recipe; - for standard output.")
@click.option("--check", is_flag=True, help="Write no plan.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    recipes: tuple[str, ...],
    output: str | None,
    check: bool,
    params: Mapping[str, str],
    root: Path | None,
    as_json: bool,
) -> None:
    if check and output:
        raise click.UsageError("--check writes no plan: leave -o out")
    every = dict[str, bool]()  # whether it was named itself
    for recipe in recipes:
        every |= (
            dict.fromkeys(map(os.path.normpath, found_in(recipe)), False) if os.path.isdir(recipe) else {recipe: True}
        )
    if (len(every) > 1 or not all(every.values())) and (output or as_json):
        raise click.UsageError("-o and --json are for one recipe")
    done = [_compiled(recipe, output, check, params, root, as_json, named) for recipe, named in every.items()]
    if not every:
        click.echo(safe(f"{' '.join(recipes)}: there is no recipe in this folder"), err=True)
    if not all(done):
        ctx.exit(1)


def _compiled(
    recipe: str,
    output: str | None,
    check: bool,
    params: Mapping[str, str],
    root: Path | None,
    as_json: bool,
    named: bool,
) -> bool:
    """Compile one recipe, write its plan, say what came out; whether there is a plan.

    A file of definitions makes none, which is a mistake where it is `named` itself, not where a folder holds it.
    """
    target = None if check else output or ("-" if recipe == "-" else _beside(recipe))
    if target is not None and is_standard_output(target):
        target = "-"
    if as_json and target == "-":
        raise click.UsageError("--json prints the outcome where the plan would go: give -o FILE")
    if target is not None and "-" not in (recipe, target) and _same(recipe, target):
        raise click.UsageError("the plan would overwrite its own recipe: give another -o FILE")
    what, shown = read_recipe(recipe)
    plan, findings = compile_with_findings(what, root=root, params=params, shown=shown)
    errors = {finding.code for finding in findings if finding.severity == "error"}
    if errors == {NOTHING_ERASED} and not named:
        return True
    if plan is not None and target is not None:
        write_text(target, plan.to_json(), force=True)
    if as_json:
        outcome = {
            "format_version": 1,
            "ok": plan is not None,
            "digest": plan.digest if plan else None,
            "output": target if plan else None,
            "diagnostics": [as_data(finding) for finding in findings],
        }
        click.echo(json.dumps(outcome, indent=2))
    else:
        show(findings)
        if plan is not None and target != "-":
            counts = f"{len(plan.erase)} erased, {len(plan.preserve)} preserved"
            click.echo(safe(f"{target or shown}: {counts}, by {plan.method.name}"))
            click.echo(f"sha256 {plan.digest}")
    return plan is not None


def _beside(recipe: str) -> str:
    """`x.plan.json` for `x.erase`; the ending is appended to a name that has another one."""
    return recipe.removesuffix(".erase") + ".plan.json"


def _same(one: str, other: str) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)
