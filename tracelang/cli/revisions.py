"""Recipes as a revision of git has them, with the files that they read."""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from tracelang.diagnostics import Report, Source
from tracelang.diagnostics.human import safe
from tracelang.syntax import tree
from tracelang.syntax.parser import parse

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


class Revision:
    """One commit. What it holds is only read: no checkout, no filter, no hook."""

    def __init__(self, name: str, folder: Path) -> None:
        if not name or name.startswith("-"):
            trouble(f"`{name}` is no revision")
        self.top = top(folder)
        commit = _git(self.top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", what=name).decode().strip()
        listing = _git(self.top, "ls-tree", "-r", "-z", "--full-tree", commit).decode("utf-8", "surrogateescape")
        rows = (row.partition("\t") for row in listing.split("\0") if row)
        self.files = {path: tuple(head.split()) for head, _, path in rows}

    def write(self, path: str, folder: Path) -> Path | None:
        """Put a recipe and what it reads below `folder`, each at its own path; None where there is no such recipe."""
        waiting, done = [path], set()
        while waiting:
            here = waiting.pop()
            data = None if here in done else self.read(here)
            done.add(here)
            if data is None:
                continue
            target = folder / here
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            if here == path or here.endswith(".erase"):
                waiting += _reads(here, data)
        return folder / path if (folder / path).is_file() else None

    def read(self, path: str, links: int = 0) -> bytes | None:
        """The bytes of a file, through links that stay in the tree."""
        if path not in self.files or links > MAX_LINKS:
            return None
        mode, kind, name = self.files[path]
        if kind != "blob":
            return None
        data = _git(self.top, "cat-file", "blob", name)
        if mode != LINK:
            return data
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.fsdecode(data)))
        return self.read(there, links + 1)


def _reads(path: str, data: bytes) -> Iterator[str]:
    """The paths in the tree of the files that a recipe names."""
    file = parse(Source(path, data.decode("utf-8-sig", "replace")), Report())
    waiting: list[object] = list(file.statements) if file is not None else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(node)
        elif isinstance(node, tree.Import | tree.FromImport | tree.Include | tree.ListFile):
            if not node.path.value.startswith(STANDARD):
                yield posixpath.normpath(posixpath.join(posixpath.dirname(path), node.path.value))
        elif isinstance(node, tree.Node):
            waiting.extend(getattr(node, name) for name in node.__dataclass_fields__ if name != "span")


def _git(folder: Path, *arguments: str, what: str = "") -> bytes:
    plain = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False, env=plain)
    except FileNotFoundError:
        trouble("comparing with a revision needs git, which is not installed")
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        trouble(f"there is no revision `{what}`" if what else f"git: {reason}")
    return done.stdout
