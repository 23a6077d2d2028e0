"""Checkpoints are patched, not rewritten: clone the file, replace only the edited tensors' bytes, publish by rename.

Shapes and dtypes stay, so every offset and every untouched byte stays. Memory is one tensor; on file systems that
share blocks, disk is the edited bytes. A crash at any point leaves the old target or the new one. What is hashed is
what the copy holds, and a source that somebody writes to meanwhile is refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tracelang.files import whole
from tracelang.models import header, steady
from tracelang.models.header import Entry
from tracelang.plan.family import ModelError

CHUNK = 8 << 20
FICLONE = 0x40049409  # linux/fs.h; unknown elsewhere, where the ioctl fails and the copy is an ordinary one

Change = Callable[[Entry, bytes], bytes]
"""New bytes of a tensor from its entry and old bytes; the same number of bytes, or it is refused."""


@dataclass(frozen=True, slots=True)
class Copied:
    """sha256 of a copy, in hexadecimal: of the file, and of each tensor's raw bytes before and after."""

    file: str
    tensors: Mapping[str, tuple[str, str]]


def clone(source: Path, target: Path) -> str:
    """Make `target` a new file with the bytes of `source` (links followed): a reflink, else a copy. Returns its sha256.

    Never a hard link, see `link`. Raises OSError, and ModelError where the source is written to meanwhile.
    """
    here = steady.seen((source,))
    with target.open("x+b") as new, steady.throughout(here), source.open("rb") as old, _Hashing() as hashing:
        _hashed(_passing(old, new)(0, os.fstat(old.fileno()).st_size), hashing)
        return hashing.digest()


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


def patch(source: Path, target: Path, changes: Mapping[str, Change]) -> Copied:
    """Write `target` as `source` with the tensors of `changes` replaced; atomic, `source` is only read.

    Raises ModelError where a tensor is not in the file, or the file is written to meanwhile, and ValueError where a
    change alters the number of bytes.
    """
    return write(source, target, _entries(source, changes))


def write(source: Path, target: Path, changes: Iterable[tuple[str, Entry, Change]]) -> Copied:
    """Write `target` as `source` with the bytes of these entries replaced: of whole tensors, or of some of their rows.
    What they are called is for messages. Raises as `patch` does.

    Every byte of the copy is read back once, and hashed.
    """
    here, tensors = steady.seen((source,)), dict[str, tuple[str, str]]()
    with (
        whole(target) as draft,
        steady.throughout(here),
        source.open("rb") as old,
        draft.open("r+b") as new,
        _Hashing() as hashing,
    ):
        todo = sorted(changes, key=lambda one: one[1].begin)  # what gives them may look into the source as well
        passing, position = _passing(old, new), 0
        for name, entry in sorted(header.read(source).tensors.items(), key=lambda one: (one[1].begin, one[1].end)):
            _hashed(passing(position, entry.begin), hashing)
            position = max(position, entry.end)
            inside = []
            while todo and todo[0][1].begin < entry.end:
                inside.append(todo.pop(0))
            if inside:
                tensors[name] = _replace(old.fileno(), new.fileno(), entry, inside, hashing)
            else:
                digest = _hashed(passing(entry.begin, entry.end), hashing)
                tensors[name] = digest, digest
        _hashed(passing(position, os.fstat(old.fileno()).st_size), hashing)
        return Copied(hashing.digest(), tensors)


def _entries(source: Path, changes: Mapping[str, Change]) -> Iterator[tuple[str, Entry, Change]]:
    tensors = header.read(source).tensors
    for name, change in changes.items():
        if name not in tensors:
            raise ModelError(f"{source}: there is no tensor {name!r} to edit; is this the model of the plan?")
        yield name, tensors[name], change


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


class _Hashing:
    """sha256 of a file beside the work on it, by a thread of its own."""

    def __enter__(self) -> _Hashing:
        self._sha256, self._pool, self._last = hashlib.sha256(), ThreadPoolExecutor(1), None
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def update(self, block: bytes) -> None:
        """At most one block waits for the thread: memory stays two blocks."""
        before, self._last = self._last, self._pool.submit(self._sha256.update, block)
        if before is not None:
            before.result()

    def digest(self) -> str:
        if self._last is not None:
            self._last.result()
        return self._sha256.hexdigest()

    _last: Future[None] | None


def _passing(old: BinaryIO, new: BinaryIO) -> Callable[[int, int], Iterator[bytes]]:
    """What takes the bytes from one offset to another over to where they were, and gives them as the copy has them."""
    if _shared(old, new):
        return partial(_blocks, old.fileno())  # they are there already, and these may still be in memory
    return partial(_carried, old.fileno(), new.fileno())


def _hashed(blocks: Iterable[bytes], hashing: _Hashing) -> str:
    own = hashlib.sha256()
    for block in blocks:
        hashing.update(block)
        own.update(block)
    return own.hexdigest()


def _replace(
    old: int, new: int, tensor: Entry, changes: list[tuple[str, Entry, Change]], hashing: _Hashing
) -> tuple[str, str]:
    """Write a tensor with the changes in it. Returns sha256 of what it was, and of what was read back."""
    raw = bytearray(b"".join(_blocks(old, tensor.begin, tensor.end)))
    before = hashlib.sha256(raw).hexdigest()
    for name, entry, change in changes:
        begin, end = entry.begin - tensor.begin, entry.end - tensor.begin
        made = change(entry, bytes(raw[begin:end]))
        if len(made) != end - begin:
            raise ValueError(f"{name}: the change has {len(made)} bytes, the tensor {end - begin}")
        raw[begin:end] = made
    _write(new, raw, tensor.begin)
    after = hashlib.sha256()
    for block in _blocks(new, tensor.begin, tensor.end):
        hashing.update(block)
        after.update(block)
    return before, after.hexdigest()


def _carried(old: int, new: int, begin: int, end: int) -> Iterator[bytes]:
    """Copy bytes to where they were, inside the kernel where it can, which is several times faster. Gives what came,
    read back: between two looks at the source somebody could write to it.
    """
    while begin < end:
        done, size = 0, min(CHUNK, end - begin)
        with contextlib.suppress(OSError, AttributeError):  # another system, or two file systems: copied below
            while done < size and (moved := os.copy_file_range(old, new, size - done, begin + done, begin + done)):
                done += moved
        for block in _blocks(old, begin + done, begin + size):
            _write(new, block, begin + done)
            done += len(block)
        yield from _blocks(new, begin, begin + size)
        begin += size


def _write(handle: int, data: bytes | bytearray | memoryview, at: int) -> None:
    view, written = memoryview(data), 0
    while written < len(view):
        written += os.pwrite(handle, view[written:], at + written)


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
