"""`tracec breaking`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.options import recipe_options
from tracelang.diagnostics import CompileError
from tracelang.diagnostics.data import as_data
from tracelang.diagnostics.formats import FORMATS
from tracelang.text import safe

HELP = """Find what RECIPE promises less than before: targets, degrees, names, probes, preserves, windows, layer sets,
settings, passes, expectations and their samples, and what its header names.

Exits with 0 if it promises no less, or is new since that revision; with 1 if it does; with 2 if the two cannot be
compared."""


@click.command(help=HELP)
@click.argument("recipe", metavar="RECIPE")
@click.option("--against", required=True, metavar="REV|FILE", help="What was promised: a revision, REV:path or a file.")
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="human", help="How to show findings.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    against: str,
    style: str,
    params: Mapping[str, str],
    root: Path | None,
    as_json: bool,
) -> None:
    from tracelang.cli.versions import earlier, version
    from tracelang.plan.breaking import breaking

    if recipe.endswith(".json"):
        raise click.UsageError("a plan does not say where things were written: give the recipe")
    digests: dict[str, str | None] = {"before": None, "after": None}
    try:
        before = earlier(recipe, against, params, root)
        digests["before"] = before.plan.digest if before else None
        after = version(recipe, params, root)
        digests["after"] = after.plan.digest
    except CompileError as error:
        found, code = list(error.diagnostics), 2
    else:
        found = breaking(before, after) if before else []
        code = 1 if found else 0
        if before is None:
            again = f"if it had another path there, write --against {against}:PATH"
            click.echo(safe(f"{recipe} is new since {against}: there is nothing to compare it with; {again}"), err=True)
    if as_json or style == "json":
        outcome = {"ok": code == 0, **digests, "diagnostics": [as_data(finding) for finding in found]}
        click.echo(json.dumps(outcome, indent=2))
    elif style == "human":
        show(found)
    else:
        from tracelang.diagnostics.formats import render

        sys.stdout.buffer.write(render(style, found).encode("utf-8", "backslashreplace"))
    ctx.exit(code)
