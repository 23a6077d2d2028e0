"""The recipes that a command line names: files, folders, standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from tracelang.diagnostics import Findings
from tracelang.syntax.read import MAX_RECIPE_BYTES

STDIN = "-"
ENDING = ".erase"


def recipes(places: tuple[str, ...]) -> Iterator[str]:
    """Every recipe once: those that were named, and those in folders, without hidden ones."""
    seen = set()
    for place in places:
        if place != STDIN and not os.path.exists(place):
            raise click.UsageError(f"there is no file or folder {place!r}")
        for path in _within(place) if os.path.isdir(place) else [place]:
            if path != STDIN:
                path = os.path.normpath(path)
            if path not in seen:
                seen.add(path)
                yield path


def _within(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(parent, name) for name in sorted(names) if name.endswith(ENDING))


def read_bytes(place: str, shown: str, report: Findings) -> bytes | None:
    """A recipe's bytes, at most one more than it may have; None where it cannot be read, which is then reported."""
    if place == STDIN:
        return sys.stdin.buffer.read(MAX_RECIPE_BYTES + 1)
    from tracelang.diagnostics import Source, Span

    try:
        with open(place, "rb") as stream:
            return stream.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        report.error("TL108", f"`{shown}` cannot be read: {reason}", Span(Source(shown, ""), 0, 0))
        return None
