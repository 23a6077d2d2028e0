"""`tracec breaking`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.options import recipe_options
from tracelang.diagnostics import CompileError
from tracelang.diagnostics.data import as_data

HELP = """Find what RECIPE promises less than before: targets, names, degrees, preserves, windows, layer sets,
expectations.

Exits with 0 if it promises no less, with 1 if it does, with 2 if the two cannot be compared."""


@click.command(help=HELP)
@click.argument("recipe", metavar="RECIPE")
@click.option("--against", required=True, metavar="REV|FILE", help="What was promised: a revision, REV:path or a file.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def command(
    ctx: click.Context, recipe: str, against: str, params: Mapping[str, str], root: Path | None, as_json: bool
) -> None:
    from tracelang.cli.versions import at_revision, from_top, in_git, version
    from tracelang.plan.breaking import breaking

    if recipe.endswith(".json"):
        raise click.UsageError("a plan does not say where things were written: give the recipe")
    if recipe == "-" and not (os.path.exists(against) or in_git(against)):
        raise click.UsageError("standard input has no path in git: write --against REV:path")
    try:
        after = version(recipe, params, root)
        if os.path.exists(against) or in_git(against):
            before = version(against, params, root)
        else:
            path = from_top(Path(recipe))
            shown = f"{against}:{path}"
            before = at_revision(against, path, params, root, shown=shown, folder=Path(recipe).resolve().parent)
    except CompileError as error:
        show(error.diagnostics)
        ctx.exit(2)
    found = breaking(before, after)
    if as_json:
        data = {
            "ok": not found,
            "before": before.plan.digest,
            "after": after.plan.digest,
            "diagnostics": [as_data(finding) for finding in found],
        }
        click.echo(json.dumps(data, indent=2))
    else:
        show(found)
    ctx.exit(1 if found else 0)
