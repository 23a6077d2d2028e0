"""`tracec fmt`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.files import STDIN, read_bytes, recipes
from tracelang.diagnostics import Findings
from tracelang.syntax.read import MAX_RECIPE_BYTES, decode
from tracelang.text import safe

HELP = """Put recipes into the one canonical style: files, folders (all their .erase files), or - to read standard input
and write standard output.

Exits with 1 if a file cannot be read or parsed, or if --check found one that would change."""


@click.command(help=HELP)
@click.argument("places", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.pass_context
def command(ctx: click.Context, places: tuple[str, ...], check: bool, diff: bool) -> None:
    changed = failed = 0
    for place in recipes(places):
        outcome = _format(place, check, diff)
        changed += outcome is True
        failed += outcome is None
    if check and changed:
        click.echo(f"{changed} file{'s' if changed > 1 else ''} would change", err=True)
    ctx.exit(1 if failed or (check and changed) else 0)


def _format(place: str, check: bool, diff: bool) -> bool | None:
    """Whether a recipe changes, None where it cannot be formatted."""
    from tracelang.cli.rewrite import difference, rewrite
    from tracelang.syntax.format import FormatError, format_text

    report = Findings()
    shown = "<stdin>" if place == STDIN else place
    data = read_bytes(place, shown, report)
    read = None if data is None else decode(data, shown, MAX_RECIPE_BYTES, report)
    if data is None or read is None:
        show(report.in_order())
        return None
    try:
        text = format_text(read.source, report)
    except FormatError as error:
        raise click.ClickException(safe(f"{error}; nothing is written. This is a fault of tracec")) from error
    if text is None:
        show(report.in_order())
        return None
    changes = text != read.source.text
    if diff:
        sys.stdout.buffer.write(difference(shown, read.source.text, text).encode())
    elif check:
        if changes:
            click.echo(safe(f"{shown} would change"))
    elif place == STDIN:
        sys.stdout.buffer.write(text.encode())
    elif changes:
        rewrite(Path(place), data, text)
        click.echo(safe(shown))
    return changes
