"""`tracec diff`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.options import recipe_options
from tracelang.diagnostics import CompileError
from tracelang.text import safe

HELP = """Show what changes in meaning from A to B: recipes, plans, - for standard input, or REV:path for a version in
git. Without B, a REV:path is compared with the file in the working tree.

Exits with 0 if both mean the same, with 1 if not, with 2 if they cannot be compared."""


@click.command(help=HELP)
@click.argument("a")
@click.argument("b", required=False)
@click.option("--format", "style", type=click.Choice(["human", "json"]), default="human", help="How to show changes.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@click.pass_context
def command(
    ctx: click.Context, a: str, b: str | None, style: str, params: Mapping[str, str], root: Path | None, as_json: bool
) -> None:
    from tracelang.cli.versions import in_git, version, working
    from tracelang.plan.changes import changes

    if b is None and not in_git(a):
        raise click.UsageError("one file is compared with nothing: give a second one, or REV:path")
    try:
        before = version(a, params, root, older=True).plan
        after = version(b or working(a), params, root).plan
    except CompileError as error:
        show(error.diagnostics)
        ctx.exit(2)
    found = changes(before, after)
    if as_json or style == "json":
        data = {
            "format_version": 1,
            "same": not found,
            "before": before.digest,
            "after": after.digest,
            "changes": [asdict(change) for change in found],
        }
        click.echo(json.dumps(data, indent=2))
    else:
        for change in found:
            click.echo(safe(str(change)))
    ctx.exit(1 if found else 0)
