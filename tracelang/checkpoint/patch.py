"""Checkpoints are patched, not rewritten: clone the file, replace only the edited tensors' bytes, publish by rename.

Shapes and dtypes stay, so every offset and every untouched byte stays. Memory is one tensor; on file systems that
share blocks, disk is the edited bytes. A crash at any point leaves the old target or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from tracelang.files import whole
from tracelang.models import header
from tracelang.models.header import Entry
from tracelang.plan.family import ModelError

CHUNK = 8 << 20
FICLONE = 0x40049409  # linux/fs.h; unknown elsewhere, where the ioctl fails and the copy is an ordinary one

Change = Callable[[Entry, bytes], bytes]
"""New bytes of a tensor from its entry and old bytes; the same number of bytes, or it is refused."""


def clone(source: Path, target: Path) -> None:
    """Make `target` a new file with the bytes of `source` (links followed): a reflink, else the fastest copy.

    Never a hard link, see `link`. Raises OSError.
    """
    with source.open("rb") as old, target.open("xb") as new:
        _fill(old, new)


def link(source: Path, target: Path) -> None:
    """Make `target` another name of the file `source` (links followed): no bytes, no time, and one file, so that a
    later write to it through either name reaches both. Raises OSError, as where the two lie on different file systems.
    """
    os.link(os.path.realpath(source), target)


def shared(source: Path, target: Path) -> bool:
    """Make `target` a new file that shares the blocks of `source`. False, and an empty file, where the file system does
    not do that between the two. Raises OSError.
    """
    with source.open("rb") as old, target.open("xb") as new:
        return _shared(old, new)


def patch(source: Path, target: Path, changes: Mapping[str, Change]) -> None:
    """Write `target` as `source` with the tensors of `changes` replaced; atomic, `source` is only read.

    Raises ModelError where a tensor is not in the file, and ValueError where a change alters the number of bytes.
    """
    tensors = header.read(source).tensors
    for name in changes:
        if name not in tensors:
            raise ModelError(f"{source}: there is no tensor {name!r} to edit; is this the model of the plan?")
    write(source, target, [(name, tensors[name], change) for name, change in changes.items()])


def write(source: Path, target: Path, changes: Iterable[tuple[str, Entry, Change]]) -> None:
    """Write `target` as `source` with the bytes of these entries replaced: of whole tensors, or of some of their rows.
    What they are called is for messages. Raises as `patch` does.
    """
    with whole(target) as draft, source.open("rb") as old, draft.open("r+b") as new:
        _fill(old, new)
        for name, entry, change in sorted(changes, key=lambda one: one[1].begin):
            _replace(new.fileno(), entry, name, change)


def digests(path: Path, other: Path) -> dict[str, tuple[str, str]]:
    """sha256 of every tensor's raw bytes, by name, as 64 hexadecimal digits: in a file and in its patched copy.

    Both files are read; bytes that are the same are hashed once.
    """
    with path.open("rb") as old, other.open("rb") as new:
        return {
            name: _digests(old.fileno(), new.fileno(), entry.begin, entry.end)
            for name, entry in header.read(path).tensors.items()
        }


def _shared(old: BinaryIO, new: BinaryIO) -> bool:
    with contextlib.suppress(OSError):
        fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        return True
    return False


def _fill(old: BinaryIO, new: BinaryIO) -> None:
    if _shared(old, new):
        return
    with contextlib.suppress(AttributeError, OSError):
        while os.copy_file_range(old.fileno(), new.fileno(), 1 << 30):
            pass
    shutil.copyfileobj(old, new, CHUNK)  # what is left, which is nothing where the line above worked
    new.flush()


def _replace(handle: int, entry: Entry, name: str, change: Change) -> None:
    size = entry.end - entry.begin
    new = change(entry, b"".join(_blocks(handle, entry.begin, entry.end)))
    if len(new) != size:
        raise ValueError(f"{name}: the change has {len(new)} bytes, the tensor {size}")
    view, written = memoryview(new), 0
    while written < size:
        written += os.pwrite(handle, view[written:], entry.begin + written)


def _digests(old: int, new: int, begin: int, end: int) -> tuple[str, str]:
    before = after = hashlib.sha256()
    for ours, theirs in zip(_blocks(old, begin, end), _blocks(new, begin, end), strict=True):
        if after is before and ours != theirs:
            after = before.copy()
        before.update(ours)
        if after is not before:
            after.update(theirs)
    return before.hexdigest(), after.hexdigest()


def _blocks(handle: int, begin: int, end: int) -> Iterator[bytes]:
    while begin < end:
        block = os.pread(handle, min(CHUNK, end - begin), begin)
        if not block:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        begin += len(block)
        yield block
