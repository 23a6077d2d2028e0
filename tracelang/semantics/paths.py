"""Where the paths in a recipe lead: on from the file that names them, and never through the wall around it."""

from __future__ import annotations

import os
import posixpath
from errno import ELOOP
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from tracelang.diagnostics import Findings
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import dataclass
from tracelang.syntax import tree

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = os.path.dirname(str(import_module("tracelang.recipes").__file__))
STD = "std/"

Sort = Literal["list", "recipe", "suite"]
LISTS = (".txt", ".csv", ".tsv")
"""How lists usually end. Any other ending will do."""
MISSING: dict[Sort, str] = {"list": "TL216", "recipe": "TL223", "suite": "TL216"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the relative paths of a file start: `folder`, for messages `shown`. They never leave `wall`.

    `prefix` stands before a path below the wall where it is written into a plan.
    """

    folder: str | Path
    wall: str | Path
    shown: str = ""
    prefix: str = ""


STANDARD = Place(os.path.join(LIBRARY, "std"), os.path.join(LIBRARY, "std"), "std", STD)


@dataclass(frozen=True, slots=True)
class Located:
    """A file: its `path` with all links followed, its `name` below the wall, and where the paths inside it start."""

    path: Path
    name: str
    shown: str
    place: Place


def locate(place: Place, node: tree.Text, sort: Sort, report: Findings) -> Located | None:
    """The file that a path means, or None, reported: it lies outside the wall, or there is none."""
    from pathlib import Path  # brings URLs and addresses of the internet, which a recipe of one file does without

    text = node.value
    if not text.strip():
        report.error(MISSING[sort], "this path is empty", node.span, help=f"name the {sort}'s file")
        return None
    if "\\" in text or text[1:2] == ":":
        help = "write folders with `/`, from the file that names them"
        report.error(MISSING[sort], "a path is written the same on every system", node.span, help=help)
        return None
    start, rest = (STANDARD, text[len(STD) :]) if text.startswith(STD) else (place, text)
    try:
        path = Path(start.folder, rest).resolve()
        wall = Path(start.wall).resolve()
        inside = not Path(text).is_absolute() and path.is_relative_to(wall)
        exists = inside and path.exists()
        near = "" if exists or not inside else did_you_mean(path.name, _siblings(path, sort))
    except (OSError, ValueError, RuntimeError) as error:
        circle = isinstance(error, RuntimeError) or getattr(error, "errno", 0) == ELOOP
        message = "this leads to a circle of links" if circle else "this cannot be the name of a file"
        report.error(MISSING[sort], message, node.span)
        return None
    if not inside:
        help = f"keep {sort}s inside the recipe root, or set a wider --root"
        if start is STANDARD:
            shipped = path.is_relative_to(os.path.join(LIBRARY, "methods"))
            help = f"methods need no import: `method {path.stem}`" if shipped else "a path in `std/` stays there"
        elif Path(start.folder, rest).is_symlink():
            help = f"it is a link; {help}"
        report.error("TL217", f"`{text}` leaves the recipe root", node.span, help=help)
        return None
    if not exists:
        report.error(MISSING[sort], f"there is no {sort} `{text}`", node.span, help=near)
        return None
    name = start.prefix + path.relative_to(wall).as_posix()
    shown = posixpath.normpath(posixpath.join(start.shown, rest))
    return Located(path, name, shown, Place(path.parent, start.wall, posixpath.dirname(shown), start.prefix))


def _siblings(path: Path, sort: Sort) -> list[str]:
    if not path.parent.is_dir():
        return []
    endings = {".erase"} if sort == "recipe" else {path.suffix, *LISTS} - {".erase"}
    return sorted(one.name for one in path.parent.iterdir() if one.suffix in endings)
