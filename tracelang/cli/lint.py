"""`tracec lint`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import click

from tracelang.cli.files import STDIN
from tracelang.cli.options import recipe_options
from tracelang.diagnostics.formats import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

HELP = """Find mistakes in recipes: files, folders (all their .erase files), or - for standard input.

Exits with 0 if there is nothing but notes, with 1 if there are errors or warnings."""


def _date(ctx: click.Context, param: click.Parameter, value: str | None) -> date:
    if value is None:
        return date.today()
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date like 2027-05-01", ctx, param) from None


def _codes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from tracelang.semantics.config import unknown_code

    codes = tuple(code.strip().upper() for value in values for code in value.split(","))
    if codes and (unknown := unknown_code(codes) or ("" in codes and "nothing")):
        raise click.BadParameter(f"no code begins with {unknown!r}", ctx, param)
    return codes


@click.command(help=HELP)
@click.argument("places", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="human", help="How to show findings.")
@click.option("--fix", is_flag=True, help="Make the safe fixes, then look again.")
@click.option("--diff", is_flag=True, help="Show the safe fixes and write nothing.")
@click.option("--select", multiple=True, callback=_codes, metavar="CODE,...", help="Warnings and notes to tell.")
@click.option("--ignore", multiple=True, callback=_codes, metavar="CODE,...", help="Warnings and notes to pass over.")
@click.option("--show-allowed", is_flag=True, help="Show what comments allow, with their reasons.")
@click.option("--statistics", is_flag=True, help="Count the findings by code instead of showing them.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="When to colour.")
@click.option("--stdin-filename", "stdin", metavar="FILE", default="", help="Where standard input comes from.")
@click.option("--today", callback=_date, metavar="DATE", help="The day on which `review_by` is looked at: today.")
@recipe_options
@click.pass_context
def command(
    ctx: click.Context,
    places: tuple[str, ...],
    style: str,
    fix: bool,
    diff: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    show_allowed: bool,
    statistics: bool,
    color: str,
    stdin: str,
    today: date,
    params: Mapping[str, str],
    root: Path | None,
) -> None:
    if fix and diff:
        raise click.UsageError("--fix writes and --diff does not: give one of them")
    if fix and STDIN in places:
        raise click.UsageError("standard input cannot be written back: use --diff")
    if stdin and STDIN not in places:
        raise click.UsageError("--stdin-filename is for standard input: give - as well")
    # Below here lies the compiler: `--help` and a wrong option cost less without it.
    from tracelang.cli.linting import FOR_READERS, Asked
    from tracelang.cli.linting import lint as looked_at

    if statistics and (diff or style not in FOR_READERS):
        raise click.UsageError("--statistics is a table for readers: leave --format and --diff out")
    asked = Asked(fix, diff, today, params, root, stdin, select, ignore, style, color, show_allowed, statistics)
    ctx.exit(looked_at(places, asked))
