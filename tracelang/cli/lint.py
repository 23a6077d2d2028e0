"""`tracec lint`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import click

from tracelang.cli.collecting import without_collecting
from tracelang.cli.files import STDIN, read_bytes, recipes
from tracelang.cli.options import recipe_options
from tracelang.diagnostics import Diagnostic, Findings
from tracelang.diagnostics.formats import FORMATS
from tracelang.plan.compile import root_of
from tracelang.syntax.read import MAX_RECIPE_BYTES, decode

HELP = """Find mistakes in recipes: files, folders (all their .erase files), or - for standard input.

Exits with 0 if there is nothing but notes, with 1 if there are errors or warnings."""


def _date(ctx: click.Context, param: click.Parameter, value: str | None) -> date:
    if value is None:
        return date.today()
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date like 2027-05-01", ctx, param) from None


@click.command(help=HELP)
@click.argument("places", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="human", help="How to show findings.")
@click.option("--fix", is_flag=True, help="Make the safe fixes, then look again.")
@click.option("--diff", is_flag=True, help="Show the safe fixes and write nothing.")
@click.option("--today", callback=_date, metavar="DATE", help="The day on which `review_by` is looked at: today.")
@recipe_options
@click.pass_context
def command(
    ctx: click.Context,
    places: tuple[str, ...],
    style: str,
    fix: bool,
    diff: bool,
    today: date,
    params: Mapping[str, str],
    root: Path | None,
) -> None:
    if fix and diff:
        raise click.UsageError("--fix writes and --diff does not: give one of them")
    if fix and STDIN in places:
        raise click.UsageError("standard input cannot be written back: use --diff")
    try:
        with without_collecting():
            every = (one for place in recipes(places) for one in _lint(place, fix, diff, today, params, root))
            # a file that many include is told of once
            found = list({(one.code, one.location, one.message): one for one in every}.values())
    except click.ClickException as error:
        error.show()
        ctx.exit(2)
    except Exception:
        from traceback import format_exc

        click.echo(f"{format_exc()}\ninternal error: this is a fault of tracec, not of the recipe", err=True)
        ctx.exit(2)
    if not diff and (found or style not in ("human", "concise")):
        from tracelang.diagnostics.formats import render

        sys.stdout.buffer.write(render(style, found).encode("utf-8", "backslashreplace"))
    if any(finding.severity != "note" for finding in found):
        ctx.exit(1)


def _lint(
    place: str, fix: bool, diff: bool, today: date, params: Mapping[str, str], root: Path | None
) -> list[Diagnostic]:
    """What is found in one recipe; `fix` rewrites it first, `diff` prints how that would change it."""
    report = Findings()
    shown = "<stdin>" if place == STDIN else place
    data = read_bytes(place, shown, report)
    read = None if data is None else decode(data, shown, MAX_RECIPE_BYTES, report)
    if data is None or read is None:
        return report.in_order()
    # Below here lies the compiler: `--help` and a wrong option cost less without it.
    from tracelang.semantics.rules.lint import Lint

    folder = Path() if place == STDIN else Path(place).parent
    lint = Lint(
        folder,
        root if root is not None else root_of(Path(place) if place != STDIN else ""),
        today,
        params,
        path=None if place == STDIN else Path(place),
    )
    if not (fix or diff):
        return lint.findings(read.source)
    after, found = lint.mended(read.source)
    if after.text != read.source.text:
        from tracelang.cli.rewrite import difference, rewrite

        if diff:
            sys.stdout.buffer.write(difference(shown, read.source.text, after.text).encode("utf-8"))
            return lint.findings(read.source)
        rewrite(Path(place), data, after.text)
    return found
