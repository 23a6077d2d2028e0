"""The output folder appears whole or not at all, whatever happens while it is built."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tracelang.files import named, sync

DRAFT = ".tracec-draft"
"""The file by which a draft of any output is known from another program's folder."""
MARK = "manifest.json"
"""The file by which `--force` knows a folder of ours from somebody's home directory."""
EXCHANGE = 2  # renameat2(2), RENAME_EXCHANGE
HERE = -100  # AT_FDCWD


class OutputError(Exception):
    """An output that cannot be written. `str()` is one line: what, where, and what to do."""


def refuse(out: Path, force: bool) -> None:
    """Raise OutputError where `staged` would: ask before long work. With `force` an earlier output may exist."""
    if not out.name:
        raise OutputError(f"{out}: not a name for a folder; pass one that does not exist yet")
    nearest = next(path for path in out.absolute().parents if os.path.lexists(path))
    if not nearest.is_dir():
        raise OutputError(f"{out}: {nearest} is not a folder; choose another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: the folder {nearest} cannot be written to; choose another place")
    if not os.path.lexists(out):
        return
    if not force:
        raise OutputError(f"{out}: exists already; choose another name or pass --force to replace it")
    if os.path.ismount(out):
        raise OutputError(f"{out}: is a mount point, which cannot be replaced; choose a folder inside it")
    if not (out.is_dir() and not out.is_symlink() and (_marked(out / MARK) or not any(out.iterdir()))):
        raise OutputError(f"{out}: is not an earlier output, so --force does not replace it; choose another name")


def absent(out: Path) -> None:
    """Raise OutputError where something is there already: for what replaces nothing."""
    if os.path.lexists(out):
        raise OutputError(f"{out}: exists already; choose another name")


def _marked(mark: Path) -> bool:
    """Is it a manifest of ours, damaged perhaps? Other programs have files of that name: theirs name no plan."""
    if not mark.is_file():
        return False
    try:
        held = json.loads(mark.read_bytes())
    except ValueError:
        return True
    return not isinstance(held, dict) or "plan" in held


@contextlib.contextmanager
def staged(out: Path, force: bool = False) -> Iterator[Path]:
    """A folder to build in, beside `out`; on success it becomes `out`, on any exception it is removed.

    Folders above `out` are made where they are missing. An `out` that exists is replaced in one step (with `force`),
    never mixed with. Raises OutputError, also for any OSError while building, a full disk say. What killed
    processes left beside `out` is removed.
    """
    out = Path(os.path.abspath(out))
    refuse(out, force)
    with _drafted(out) as folder:
        folder.mkdir()
        yield folder
        _settle(folder)
        refuse(out, force)
        _publish(folder, out)


@contextlib.contextmanager
def staged_file(out: Path) -> Iterator[Path]:
    """`staged` for a single file: a name to write it at, on the same file system. It replaces nothing."""
    absent(out)
    out = Path(os.path.abspath(out))
    with _drafted(out) as file:
        yield file
        try:
            named(file, out)
        except FileExistsError:
            absent(out)
            raise


@contextlib.contextmanager
def _drafted(out: Path) -> Iterator[Path]:
    """The name of `out` in a folder of its own beside it, since mkdtemp's is for its owner alone. That folder is locked
    while this process lives, so that others know a dead one's, and is removed in the end.
    """
    made = [path for path in out.parents if not path.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep(out)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
        handle = os.open(draft, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another place") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (draft / DRAFT).touch()
        yield draft / out.name
        sync(out.parent)
    except OSError as error:
        reason = (error.strerror or str(error)) + (f" at {error.filename}" if error.filename else "")
        raise OutputError(f"{out}: could not be written ({reason}); nothing was left behind") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(handle)
        for path in made:
            with contextlib.suppress(OSError):  # it holds `out`
                path.rmdir()


def _publish(folder: Path, out: Path) -> None:
    """Rename `folder` to `out`; an old `out` ends where `folder` was, in one step where the system can."""
    if not out.exists():
        folder.rename(out)
        return
    if _exchange(folder, out):
        return
    aside = folder.with_name("old")
    out.rename(aside)
    try:
        folder.rename(out)
    except OSError:
        aside.rename(out)
        raise


def _exchange(one: Path, other: Path) -> bool:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    return bool(renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0)


def sweep(out: Path) -> list[Path]:
    """Remove the drafts beside `out`, of any output, whose process is gone: a living one holds a lock on its draft.

    Returns those removed. What cannot be looked at or removed stays.
    """
    parent, removed = Path(os.path.abspath(out)).parent, list[Path]()
    for draft in sorted(parent.glob(".*.partial-*")) if parent.is_dir() else ():
        if draft.is_symlink() or not (draft / DRAFT).is_file():
            continue
        with contextlib.suppress(OSError):
            handle = os.open(draft, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(draft, ignore_errors=True)
            finally:
                os.close(handle)
            if not draft.exists():
                removed.append(draft)
    return removed


def _settle(folder: Path) -> None:
    """fsync everything below."""
    for root, _, files in os.walk(folder):
        for name in files:
            handle = os.open(os.path.join(root, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync(Path(root))
