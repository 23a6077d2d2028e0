"""`tracec lint`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import click

from tracelang.cli.collecting import without_collecting
from tracelang.cli.files import STDIN, read_bytes, recipes
from tracelang.cli.options import recipe_options
from tracelang.diagnostics import CompileError, Diagnostic, Findings
from tracelang.diagnostics.formats import FORMATS
from tracelang.records import dataclass, field, replace
from tracelang.semantics.config import config_of, root_in
from tracelang.syntax.read import MAX_RECIPE_BYTES, decode

if TYPE_CHECKING:
    from pathlib import Path

HELP = """Find mistakes in recipes: files, folders (all their .erase files), or - for standard input.

Exits with 0 if there is nothing but notes, with 1 if there are errors or warnings."""

FOR_READERS = ("human", "concise")


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


@dataclass(slots=True)
class Asked:
    """What the command line says, and how many recipes were looked at and rewritten."""

    fix: bool
    diff: bool
    today: date
    params: Mapping[str, str]
    root: Path | None
    stdin: str
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    files: int = 0
    rewritten: int = 0
    found: dict[tuple[str, str, str], Diagnostic] = field(default_factory=dict)
    without: dict[str, list[Diagnostic]] = field(default_factory=dict)
    """For each param that is set: what is said of it, once for every recipe that has no such param."""


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
    if statistics and (diff or style not in FOR_READERS):
        raise click.UsageError("--statistics is a table for readers: leave --format and --diff out")
    asked = Asked(fix, diff, today, params, root, stdin, select, ignore)
    try:
        with without_collecting():
            for place in recipes(places):
                for one in _lint(place, asked):  # a file that many include is told of once
                    asked.found.setdefault((one.code, one.location, one.message), one)
                asked.files += 1
        for said in asked.without.values():
            if len(said) == asked.files:  # else it is meant for another recipe of this run
                asked.found[said[0].code, said[0].location, said[0].message] = said[0]
    except click.ClickException as error:
        error.show()
        ctx.exit(2)
    except CompileError as error:
        from tracelang.cli import show

        show(error.diagnostics)
        ctx.exit(2)
    except Exception:
        from traceback import format_exc

        click.echo(f"{format_exc()}\ninternal error: this is a fault of tracec, not of the recipe", err=True)
        ctx.exit(2)
    told = [one for one in asked.found.values() if one.allowed is None]
    if not diff:
        _show(asked, told, style, color, show_allowed, statistics)
    if any(finding.severity != "note" for finding in told):
        ctx.exit(1)


def _show(asked: Asked, told: list[Diagnostic], style: str, color: str, show_allowed: bool, statistics: bool) -> None:
    """Print what was found: for readers on a terminal in colour, to its width, and with a line that sums it up."""
    terminal = sys.stdout.isatty()
    shown = list(asked.found.values()) if show_allowed or style == "sarif" else told
    if statistics:
        from tracelang.cli.summary import table

        click.echo(table(shown), nl=False)
    elif shown or style not in FOR_READERS:
        from tracelang.diagnostics.formats import render

        colour = color == "always" or (color == "auto" and terminal and "NO_COLOR" not in os.environ)
        width = None
        if terminal:
            from shutil import get_terminal_size

            width = get_terminal_size().columns
        sys.stdout.buffer.write(render(style, shown, colour, width).encode("utf-8", "backslashreplace"))
    if terminal and style in FOR_READERS and asked.files:
        from tracelang.cli.summary import summary

        sys.stdout.buffer.flush()
        click.echo(summary(asked.files, told, len(asked.found) - len(told), asked.rewritten))


def _lint(place: str, asked: Asked) -> list[Diagnostic]:
    """What is found in one recipe; `fix` rewrites it first, `diff` prints how that would change it."""
    report = Findings()
    path = asked.stdin if place == STDIN else place
    shown = path or "<stdin>"
    data = read_bytes(place, shown, report)
    read = None if data is None else decode(data, shown, MAX_RECIPE_BYTES, report)
    if data is None or read is None:
        return report.in_order()
    # Below here lies the compiler: `--help` and a wrong option cost less without it.
    from tracelang.semantics.params import unknown
    from tracelang.semantics.rules.lint import Lint

    folder = os.path.dirname(path)
    config = config_of(folder)
    lint = Lint(
        folder,
        asked.root if asked.root is not None else root_in(folder),
        asked.today,
        asked.params,
        path=path or None,
        raised=config.notes_as_warnings,
    )
    source = read.source
    if asked.params and (lacking := unknown(lint.report(source).findings)):
        for name, said in lacking.items():
            asked.without.setdefault(name, []).append(said)
        lint = replace(lint, given={name: value for name, value in asked.params.items() if name not in lacking})
    if asked.fix or asked.diff:
        after, _ = lint.mended(source)
        if after.text != source.text:
            from pathlib import Path

            from tracelang.cli.rewrite import difference, rewrite

            if asked.diff:
                sys.stdout.buffer.write(difference(shown, source.text, after.text).encode("utf-8"))
            else:
                rewrite(Path(place), data, after.text)
                asked.rewritten += 1
                source = after
    report = lint.report(source)
    found = report.in_order()
    if config.require and not report.failed:
        from tracelang.plan.required import unmet

        found += unmet(source, lint, config)
    return [one for one in (*found, *report.allowed) if config.tells(one, asked.select, asked.ignore)]
