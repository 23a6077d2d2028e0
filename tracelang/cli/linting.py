"""Recipes looked at, and what is found printed: `tracec lint` behind its options. Nothing here needs click."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from tracelang.cli.collecting import without_collecting
from tracelang.cli.files import STDIN, read_bytes, recipes
from tracelang.diagnostics import CompileError, Diagnostic, Findings
from tracelang.records import dataclass, field, replace
from tracelang.semantics.config import config_of, root_in
from tracelang.semantics.params import unknown
from tracelang.semantics.rules.lint import Lint
from tracelang.syntax.read import MAX_RECIPE_BYTES, decode

if TYPE_CHECKING:
    from pathlib import Path

FOR_READERS = ("human", "concise")


@dataclass(slots=True)
class Asked:
    """What the command line says, else what holds without it; and how many recipes were looked at and rewritten."""

    fix: bool = False
    diff: bool = False
    today: date = field(default_factory=date.today)
    params: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None
    stdin: str = ""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    style: str = "human"
    color: str = "auto"
    show_allowed: bool = False
    statistics: bool = False
    files: int = 0
    rewritten: int = 0
    found: dict[tuple[str, str, str], Diagnostic] = field(default_factory=dict)
    without: dict[str, list[Diagnostic]] = field(default_factory=dict)
    """For each param that is set: what is said of it, once for every recipe that has no such param."""


def lint(places: tuple[str, ...], asked: Asked) -> int:
    """Look at recipes and print what is found. Gives the exit code: 0 but for notes, 1 for a finding, 2 where a file,
    a configuration or the compiler fails.
    """
    try:
        with without_collecting():
            for place in recipes(places):
                for one in _lint(place, asked):  # a file that many include is told of once
                    asked.found.setdefault((one.code, one.location, one.message), one)
                asked.files += 1
        for said in asked.without.values():
            if len(said) == asked.files:  # else it is meant for another recipe of this run
                asked.found[said[0].code, said[0].location, said[0].message] = said[0]
    except CompileError as error:
        from tracelang.cli.commands import show

        show(error.diagnostics)
        return 2
    except Exception as error:
        from click import ClickException

        if isinstance(error, ClickException):
            error.show()
            return 2
        from traceback import format_exc

        print(f"{format_exc()}\ninternal error: this is a fault of tracec, not of the recipe", file=sys.stderr)
        return 2
    told = [one for one in asked.found.values() if one.allowed is None]
    if not asked.diff:
        _show(asked, told)
    return int(any(finding.severity != "note" for finding in told))


def _show(asked: Asked, told: list[Diagnostic]) -> None:
    """Print what was found: for readers on a terminal in colour, to its width, and with a line that sums it up."""
    terminal = sys.stdout.isatty()
    shown = list(asked.found.values()) if asked.show_allowed or asked.style == "sarif" else told
    if asked.statistics:
        from tracelang.cli.summary import table

        print(table(shown), end="", flush=True)
    elif shown or asked.style not in FOR_READERS:
        from tracelang.diagnostics.formats import render

        colour = asked.color == "always" or (asked.color == "auto" and terminal and "NO_COLOR" not in os.environ)
        width = None
        if terminal:
            from shutil import get_terminal_size

            width = get_terminal_size().columns
        sys.stdout.buffer.write(render(asked.style, shown, colour, width).encode("utf-8", "backslashreplace"))
    if terminal and asked.style in FOR_READERS and asked.files:
        from tracelang.cli.summary import summary

        sys.stdout.buffer.flush()
        print(summary(asked.files, told, len(asked.found) - len(told), asked.rewritten), flush=True)


def _lint(place: str, asked: Asked) -> list[Diagnostic]:
    """What is found in one recipe; `fix` rewrites it first, `diff` prints how that would change it."""
    report = Findings()
    path = asked.stdin if place == STDIN else place
    shown = path or "<stdin>"
    data = read_bytes(place, shown, report)
    read = None if data is None else decode(data, shown, MAX_RECIPE_BYTES, report)
    if data is None or read is None:
        return report.in_order()
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
