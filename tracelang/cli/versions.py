"""A version of a recipe as a command line names it: a file, a plan, standard input, or `REV:path` in git."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from tracelang.cli.options import read_recipe
from tracelang.cli.revisions import Revision, in_repository, is_revision, top, trouble, within
from tracelang.diagnostics import CompileError
from tracelang.plan.breaking import Version, renamed
from tracelang.plan.compile import compile_with_findings, located
from tracelang.plan.load import load_plan
from tracelang.plan.places import Places
from tracelang.semantics.params import unknown

FROM_HERE = ("./", "../")


def version(text: str, params: Mapping[str, str], root: Path | None, *, older: bool = False) -> Version:
    """The version of that name; an `older` one need not have all the params. Raises CompileError with its errors."""
    if is_file(text):
        if text.endswith(".json"):
            return Version(load_plan(text), None)
        what, shown = read_recipe(text)
        return _compiled(what, shown, params, root, older)
    if not in_git(text):
        trouble(f"there is no file {text!r}; a version in git is written REV:path")
    name, _, written = text.partition(":")
    commit = Revision(name, Path())
    path = _from_top(name, written, commit.top)
    found = at_revision(commit, path, params, root, shown=text, older=older)
    if found is None:
        if path in commit.files:
            trouble(f"{name} has no file {path!r}: what stands there leads to none of its own files")
        near = "".join(f"; did you mean {one!r}?" for one in commit.nearly(path)[:1])
        trouble(f"{name} has no file {path!r}{near or '; write REV:./path for a path from here'}")
    return found


def revision(against: str, place: str) -> Revision | None:
    """The revision of that name around a file or folder; None where a file is meant, or a file of a revision."""
    folder = Path() if place == "-" else Path(os.path.abspath(place))
    if not os.path.isdir(folder):
        folder = folder.parent
    if not in_repository(folder):  # a link from elsewhere may lead into one
        folder = Path(os.path.realpath(place)).parent
    if is_file(against, folder) or in_git(against):
        return None
    if place == "-":
        raise click.UsageError("standard input has no path in git: write --against REV:path")
    return Revision(against, folder)


def earlier(recipe: str, commit: Revision, params: Mapping[str, str], root: Path | None) -> tuple[Version | None, str]:
    """The recipe in a revision, None where it is new; and the path there if it was moved, else nothing.

    Raises CompileError with the errors of the older version.
    """
    against = commit.name
    # By the path that it is called by, so that what a link leads to now is held against what was there before.
    paths = dict.fromkeys(filter(None, (within(one, commit.top) for one in (recipe, os.path.realpath(recipe)))))
    for path in paths:
        found = at_revision(commit, path, params, root)
        if found is not None:
            return found, ""
        if path in commit.files or commit.find(path) is None:
            trouble(f"{against} has {path!r} only as a link that leads to no file of it")
        for other in commit.nearly(path):
            there = commit.top / other
            if not (there.exists() and os.path.exists(recipe)) or there.samefile(recipe):
                trouble(f"{against} has no file {path!r}, but {other!r}: write --against {against}:{other}")
    for path in paths:
        if path in commit.moved:
            return at_revision(commit, commit.moved[path], params, root), commit.moved[path]
    return None, ""


def is_file(text: str, folder: Path = Path()) -> bool:
    """Is it standard input, or a file? Stops where the same name means a revision too, for git in `folder`.

    Otherwise whoever adds a file `main` decides what is meant by the branch.
    """
    if text == "-":
        return True
    if not os.path.exists(text) or os.path.isdir(text):
        return False
    name = text.partition(":")[0]
    if not os.path.isabs(text) and not text.startswith(FROM_HERE) and is_revision(name, folder):
        help = f"write ./{text} for the file, or another name of the commit"
        trouble(f"{text!r} is a file and `{name}` a revision: {help}")
    return True


def in_git(text: str) -> bool:
    """Is it written as `REV:path`?"""
    return ":" in text and not is_file(text)


def working(text: str) -> str:
    """The working tree's file for a `REV:path`."""
    name, _, written = text.partition(":")
    whole = top(Path())
    found = os.path.relpath(whole / _from_top(name, written, whole))
    if not os.path.exists(found):
        trouble(f"there is no file {found!r} in the working tree to compare with {text!r}")
    return found


def at_revision(
    commit: Revision,
    path: str,
    params: Mapping[str, str],
    root: Path | None,
    *,
    shown: str = "",
    older: bool = True,
) -> Version | None:
    """A recipe of a revision, by its path from the top, or None; lists and imports are that revision's too."""
    shown = shown or f"{commit.name}:{path}"
    with tempfile.TemporaryDirectory(prefix="tracec-") as folder:
        copy = Path(folder).resolve()
        recipe = commit.write(path, copy)
        if recipe is None:
            return None
        copied = f"{copy.as_posix()}/", f"{commit.name}:"
        try:
            found = _compiled(recipe, shown, params, _root(commit, root, copy), older)
        except CompileError as error:
            raise CompileError(renamed(finding, *copied) for finding in error.diagnostics) from None
        return replace(found, copied=copied)


def _root(commit: Revision, root: Path | None, copy: Path) -> Path:
    """The recipe root in the copy of a revision."""
    if root is None:
        return copy
    inside = within(str(root), commit.top)
    found = None if inside is None else commit.find(inside, copy)
    if found is None:
        trouble(f"the root {root} lies outside the working tree {commit.top}")
    return copy / found


def _from_top(name: str, path: str, whole: Path) -> str:
    """The path of a `REV:path` from the top of the working tree, however it is written: a path in the revision."""
    inside = within(path, whole) if os.path.isabs(path) or path.startswith(FROM_HERE) else path
    if inside is None:
        trouble(f"{name} has no file {path!r}: that lies outside the working tree {whole}")
    return posixpath.normpath(inside) if inside else inside


def _compiled(
    what: str | Path, shown: str, params: Mapping[str, str], root: Path | None, older: bool = False
) -> Version:
    plan, findings = compile_with_findings(what, root=root, params=params, shown=shown)
    errors = [finding for finding in findings if finding.severity == "error"]
    if plan is None and older:  # what a param says now, the older version wrote out itself
        new = unknown(errors)
        if new:
            left = {name: value for name, value in params.items() if name not in new}
            return _compiled(what, shown, left, root)
    if plan is None:
        raise CompileError(errors)
    resolution = located(what, root=root, params=params, shown=shown)
    return Version(plan, Places(resolution) if resolution is not None else None)
