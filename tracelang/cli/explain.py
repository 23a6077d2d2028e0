"""`tracec explain`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.options import read_recipe, recipe_options
from tracelang.plan.compile import compile_with_findings


@click.command(help="Print RECIPE (a recipe, a plan, or - for standard input) with every default spelled out.")
@click.argument("recipe", metavar="RECIPE")
@recipe_options
@click.pass_context
def command(ctx: click.Context, recipe: str, params: Mapping[str, str], root: Path | None) -> None:
    from tracelang.plan.explain import explain

    if recipe.endswith(".json"):
        from tracelang.plan.load import load_plan

        if params:
            raise click.UsageError("--set changes a recipe; a compiled plan is fixed: explain its recipe instead")
        plan = load_plan(recipe)
    else:
        what, shown = read_recipe(recipe)
        found, findings = compile_with_findings(what, root=root, params=params, shown=shown)
        show(findings)
        if found is None:
            ctx.exit(1)
        plan = found
    sys.stdout.buffer.write(explain(plan).encode())
