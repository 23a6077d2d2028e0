"""Recipes as a revision of git has them, with the files that they read."""

from __future__ import annotations

import os
import posixpath
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import click

from tracelang.diagnostics import Findings, Source
from tracelang.syntax import tree
from tracelang.syntax.parser import parse
from tracelang.text import safe

MAX_LINKS = 16
LINK = "120000"
STANDARD = "std/"


class Trouble(click.ClickException):
    """Nothing could be compared."""

    exit_code = 2


def trouble(message: str) -> NoReturn:
    """Stop with a message and the exit code 2."""
    raise Trouble(safe(message))


def top(folder: Path) -> Path:
    """The working tree around a folder."""
    return Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n"))


def in_repository(folder: Path) -> bool:
    """Is there a working tree around a folder?"""
    try:
        return _run(folder, "rev-parse", "--show-toplevel").returncode == 0
    except FileNotFoundError:
        return False


def is_revision(name: str, folder: Path) -> bool:
    """Does git, in a folder, know a commit by that name? False outside of repositories, and without git."""
    if not name or name.startswith("-"):
        return False
    try:
        done = _run(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except FileNotFoundError:
        return False
    reason = _reason(done) if done.returncode else ""
    if reason and "not a git repository" not in reason and not name.endswith((".erase", ".json")):
        trouble(f"git: {reason}")  # it could be one: whoever compares with it should know, not guess
    return done.returncode == 0


def within(path: str, whole: Path) -> str | None:
    """A path from the top of a working tree, or None outside of it. Links in the tree are left to the revision."""
    path = os.path.normpath(os.path.abspath(path))
    above = [Path(path), *Path(path).parents]
    for folder in reversed(above):  # from the outermost: a link inside may lead to the top again
        if folder.exists() and folder.samefile(whole):
            return Path(path).relative_to(folder).as_posix()
    inside = Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    real = whole.resolve()
    return inside.relative_to(real).as_posix() if inside.is_relative_to(real) else None


class Revision:
    """One commit. What it holds is only read: no checkout, no filter, no hook."""

    def __init__(self, name: str, folder: Path) -> None:
        if not name or name.startswith("-"):
            trouble(f"`{name}` is no revision")
        self.top = top(folder)
        self.name = name
        commit = _git(self.top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", what=name).decode().strip()
        self.commit = commit
        listing = _git(self.top, "ls-tree", "-r", "-z", "--full-tree", commit).decode("utf-8", "surrogateescape")
        rows = (row.partition("\t") for row in listing.split("\0") if row)
        self.files = {path: tuple(head.split()) for head, _, path in rows}

    def write(self, path: str, folder: Path) -> Path | None:
        """Put a recipe and what it reads below `folder`, each at its own path; None where there is no such recipe.

        Only what this commit holds is put there, links too, and of those only what stays in it.
        """
        main = self.find(path, folder)
        if main is None or not self._put(main, folder):
            return None
        waiting, done = [(main, posixpath.dirname(path))], {main}
        while waiting:
            here, start = waiting.pop()
            for named, is_recipe in _reads(here, self._blob(here)):
                found = self.find(posixpath.join(start, named), folder)
                if found is not None and found not in done and self._put(found, folder):
                    done.add(found)
                    if is_recipe:
                        waiting.append((found, posixpath.dirname(found)))
        return folder / path

    def find(self, path: str, folder: Path | None = None) -> str | None:
        """A path from the top with all links followed as a file system does, or None where it leaves the tree.

        The links on the way are made anew below `folder`. Nothing need be at the path.
        """
        if path.startswith("/"):
            return None
        left, found, hops = path.split("/"), list[str](), 0
        links, folders = dict[str, str](), list[str]()
        while left:
            part = left.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                if not found or "/".join(found) in self.files:
                    return None
                folders.append("/".join(found))
                found.pop()
                continue
            here = "/".join([*found, part])
            if self.files.get(here, ("",))[0] != LINK:
                found.append(part)
                continue
            hops += 1
            there = links[here] = os.fsdecode(self._blob(here))
            if hops > MAX_LINKS or not there or there.startswith("/") or "\0" in there:
                return None
            left = [*there.split("/"), *left]
        if folder is not None:  # none before all are known to stay in the tree
            for here in folders:
                _below(folder, here).mkdir(parents=True, exist_ok=True)
            for here, there in links.items():
                _link(_below(folder, here), there)
        return "/".join(found)

    @cached_property
    def moved(self) -> dict[str, str]:
        """The paths of this commit that files of the working tree had, by those they have now, as git compares them."""
        options = ("-c", "core.fsmonitor=false", "diff", "--no-ext-diff", "--name-status", "--find-renames", "-z")
        rows = _git(self.top, *options, "--diff-filter=R", self.commit, "--").split(b"\0")
        names = [os.fsdecode(row) for row in rows]
        return {names[at + 2]: names[at + 1] for at in range(0, len(names) - 2, 3)}

    def below(self, folder: str, ending: str) -> list[str]:
        """The files with an ending in a folder and those below it, without hidden ones."""
        start = "" if folder in ("", ".") else f"{folder}/"
        found = (path for path in self.files if path.startswith(start) and path.endswith(ending))
        return sorted(path for path in found if not any(part.startswith(".") for part in path[len(start) :].split("/")))

    def nearly(self, path: str) -> list[str]:
        """The files whose names differ from a path in case only, or in how a letter is encoded."""
        same = _plain(path)
        return sorted(other for other in self.files if other != path and _plain(other) == same)

    def _put(self, path: str, folder: Path) -> bool:
        """Write a file of the tree; False where there is none of that name."""
        mode, kind, _ = self.files.get(path, ("", "", ""))
        if kind != "blob" or mode == LINK:
            return False
        target = _below(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self._blob(path))
        return True

    def _blob(self, path: str) -> bytes:
        return _git(self.top, "cat-file", "blob", self.files[path][2])


def _below(folder: Path, path: str) -> Path:
    """A path of a tree, which may come from anybody, below a folder."""
    target = folder / path
    if ".." in target.parts or not target.is_relative_to(folder):
        trouble(f"git: the tree holds a file {path!r}, which no file system could")
    return target


def _link(path: Path, there: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(there)


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _reads(path: str, data: bytes) -> Iterator[tuple[str, bool]]:
    """The paths that a recipe names, from where it lies, and whether each is of a recipe."""
    file = parse(Source(path, data.decode("utf-8-sig", "replace")), Findings())
    waiting: list[object] = list(file.statements) if file is not None else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(node)
        elif isinstance(node, tree.Import | tree.FromImport | tree.Include | tree.ListFile):
            named = node.path.value
            if not named.startswith((STANDARD, "/")):
                yield named, not isinstance(node, tree.ListFile)
        elif isinstance(node, tree.Node):
            waiting.extend(getattr(node, name) for name in node.__dataclass_fields__ if name != "span")


def _git(folder: Path, *arguments: str, what: str = "") -> bytes:
    try:
        done = _run(folder, *arguments)
    except FileNotFoundError:
        trouble("comparing with a revision needs git, which is not installed")
    if done.returncode:
        trouble(f"there is no revision `{what}`" if what else f"git: {_reason(done)}")
    return done.stdout


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # A replacement (`git replace`) is of this clone alone: no part of the revision.
    plain = {**os.environ, "LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1"}
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False, env=plain)


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
