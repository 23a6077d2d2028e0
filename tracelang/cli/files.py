"""The recipes that a command line names: files, folders, standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Findings
from tracelang.syntax.read import MAX_RECIPE_BYTES
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.semantics.config import Config

STDIN = "-"
ENDING = ".erase"


def recipes(places: tuple[str, ...]) -> Iterator[str]:
    """Every recipe once: those that were named, and those in folders, as `found_in` finds them.

    A folder without any is said on standard error. Raises CompileError where a configuration is wrong.
    """
    seen = set()
    for place in places:
        if place != STDIN and not os.path.exists(place):
            from click import UsageError  # the lint of files that are there needs none of it

            raise UsageError(f"there is no file or folder {place!r}")
        found = False
        for path in found_in(place) if os.path.isdir(place) else [place]:
            found = True
            if path != STDIN:
                path = os.path.normpath(path)
            if path not in seen:
                seen.add(path)
                yield path
        if not found:
            print(safe(f"{place}: there is no recipe in this folder"), file=sys.stderr)


def found_in(folder: str) -> Iterator[str]:
    """The recipes in a folder and those below it, without what is hidden, what git ignores and what is excluded."""
    from tracelang.semantics.config import config_of

    ignored = _ignored_by_git(folder)
    for parent, folders, names in os.walk(folder):
        config = config_of(parent)

        def stays(name: str, parent: str = parent, config: Config = config) -> bool:
            path = os.path.join(parent, name)
            if ignored and os.path.normpath(os.path.relpath(path, folder)) in ignored:
                return False
            return not config.excludes(path)

        folders[:] = sorted(name for name in folders if not name.startswith(".") and stays(name))
        for name in sorted(names):
            path = os.path.join(parent, name)
            if name.endswith(ENDING) and stays(name) and os.path.isfile(path):
                yield path


def _ignored_by_git(folder: str) -> set[str]:
    """The paths below a folder that git ignores, of whole folders the top; nothing outside of repositories."""
    import subprocess  # brings threads and selectors, which the lint of a file does without

    command = ["git", "-C", folder, "-c", "core.fsmonitor=false", "ls-files", "-z", "--directory"]
    try:
        done = subprocess.run(
            [*command, "--others", "--ignored", "--exclude-standard"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return set()
    return {os.path.normpath(os.fsdecode(path)) for path in done.stdout.split(b"\0") if path.strip(b"./")}


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
