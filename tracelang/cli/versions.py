"""A version of a recipe as a command line names it: a file, a plan, standard input, or `REV:path` in git."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from tracelang.cli.options import read_recipe
from tracelang.cli.revisions import Revision, top, trouble
from tracelang.diagnostics import CompileError
from tracelang.plan.breaking import Version, renamed
from tracelang.plan.compile import compile_with_findings, located
from tracelang.plan.load import load_plan
from tracelang.plan.places import Places

FROM_HERE = ("./", "../")


def version(text: str, params: Mapping[str, str], root: Path | None) -> Version:
    """The version of that name. Raises CompileError with its errors."""
    if text.endswith(".json") and os.path.exists(text):
        return Version(load_plan(text), None)
    if text == "-" or os.path.exists(text):
        what, shown = read_recipe(text)
        return _compiled(what, shown, params, root)
    if not in_git(text):
        trouble(f"there is no file {text!r}; a version in git is written REV:path")
    revision, _, path = text.partition(":")
    found = _at_revision(revision, _from_top(path), params, root, shown=text)
    if found is None:
        trouble(f"{revision} has no file {_from_top(path)!r}; write REV:./path for a path from here")
    return found


def earlier(recipe: str, against: str, params: Mapping[str, str], root: Path | None) -> Version | None:
    """What a recipe is held against: a version of that name, or the recipe in that revision, None where it is new.

    Raises CompileError with the errors of the older version.
    """
    if os.path.exists(against) or in_git(against):
        return version(against, params, root)
    if recipe == "-":
        raise click.UsageError("standard input has no path in git: write --against REV:path")
    folder = Path(recipe).resolve().parent
    path = Path(recipe).resolve().relative_to(top(folder).resolve()).as_posix()
    return _at_revision(against, path, params, root, shown=f"{against}:{path}", folder=folder)


def in_git(text: str) -> bool:
    """Is it written as `REV:path`?"""
    return ":" in text and not os.path.exists(text)


def working(text: str) -> str:
    """The working tree's file for a `REV:path`."""
    path = _from_top(text.partition(":")[2])
    found = os.path.relpath(top(Path()) / path)
    if not os.path.exists(found):
        trouble(f"there is no file {found!r} in the working tree to compare with {text!r}")
    return found


def _at_revision(
    revision: str, path: str, params: Mapping[str, str], root: Path | None, *, shown: str, folder: Path = Path()
) -> Version | None:
    """A recipe of a revision, by its path from the top, or None; lists and imports are that revision's too."""
    commit = Revision(revision, folder)
    with tempfile.TemporaryDirectory(prefix="tracec-") as name:
        recipe = commit.write(path, Path(name))
        if recipe is None:
            return None
        copied = f"{Path(name).as_posix()}/", f"{revision}:"
        try:
            found = _compiled(recipe, shown, params, Path(name) / _below(commit.top, root or commit.top))
        except CompileError as error:
            raise CompileError(renamed(finding, *copied) for finding in error.diagnostics) from None
        return replace(found, copied=copied)


def _below(whole: Path, root: Path) -> Path:
    """A recipe root by its path from the top of the working tree."""
    whole, root = whole.resolve(), root.resolve()
    if not root.is_relative_to(whole):
        trouble(f"the root {root} lies outside the working tree {whole}")
    return root.relative_to(whole)


def _from_top(path: str) -> str:
    if not path.startswith(FROM_HERE):
        return os.path.normpath(path)
    return os.path.relpath(Path(path).absolute(), top(Path()))


def _compiled(what: str | Path, shown: str, params: Mapping[str, str], root: Path | None) -> Version:
    plan, findings = compile_with_findings(what, root=root, params=params, shown=shown)
    if plan is None:
        raise CompileError(finding for finding in findings if finding.severity == "error")
    resolution = located(what, root=root, params=params, shown=shown)
    return Version(plan, Places(resolution) if resolution is not None else None)
