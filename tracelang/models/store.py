"""Tensors kept on disk between runs: one safetensors file each, in the user's cache folder, made anew when damaged."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tracelang.files import CACHE_LIMIT, cache_limit, whole
from tracelang.models.errors import CacheFull


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """The tensors and the metadata of a file; None where there is none, or its tensors lack the digest it states."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("digest") != _digest(tensors):
            return None
        os.utime(path)
    except (OSError, SafetensorError):
        return None
    return tensors, metadata


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a file of the cache whole or not at all. Raises OSError."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save(path, held, {**(metadata or {}), "digest": _digest(held)}, durable=False)


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, durable: bool = True) -> None:
    """Write a file whole or not at all; folders above are made. Raises OSError, also for safetensors' own error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, durable=durable) as draft:
        try:
            save_file(dict(tensors), draft, dict(metadata))
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error), str(path)) from error


def keep(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, limit: int | None = None
) -> None:
    """`write`, where the folder has room or gets some: the files used longest ago go, none that this process used.

    A process that needs more than `limit` bytes would push out what it needs itself, and so would the next one: what
    does not fit is not kept, and a `CacheFull` warning says so once. A folder is looked through once a process. Without
    a `limit`, `tracelang.files.cache_limit` says it. Raises OSError.
    """
    limit = _limit() if limit is None else limit
    where, size = path.parent, sum(tensor.nbytes for tensor in tensors.values())
    known = KNOWN.get(where) or KNOWN.setdefault(where, _looked_through(where))
    if known.make_room(size, limit):
        write(path, tensors, metadata)
        known.size += path.stat().st_size
        if known.make_room(0, limit):
            return
        known.size -= path.stat().st_size  # it is the header that was too much
        path.unlink()
    if not known.told:
        known.told = True
        warnings.warn(
            f"{where} holds at most {limit / 2**30:.3g} GiB, and this command needs more: the rest is computed anew "
            "each time",
            CacheFull,
            stacklevel=2,
        )


def _limit() -> int:
    try:
        return cache_limit()
    except ValueError as error:
        warnings.warn(f"{error}; the limit stays {CACHE_LIMIT / 2**30:g} GiB", CacheFull, stacklevel=3)
        return CACHE_LIMIT


@dataclass
class Known:
    """A folder as it was found: its size, and the files that no command of this process has used, the oldest last."""

    size: int
    old: list[tuple[int, int, str]]
    told: bool = False

    def make_room(self, size: int, limit: int) -> bool:
        """Remove old files until `size` more bytes fit. Do they?"""
        while self.size + size > limit and self.old:
            used, bytes_, name = self.old.pop()
            file = Path(name)
            if file.exists() and file.stat().st_mtime_ns != used:
                continue  # used since
            file.unlink(missing_ok=True)
            self.size -= bytes_
        return self.size + size <= limit


KNOWN: dict[Path, Known] = {}
"""The folders that this process has looked through."""
STARTED = time.time_ns() - 10**9
"""Files with a later date were used by this process, or beside it; a file system's clock may lag."""


def _looked_through(where: Path) -> Known:
    if not where.is_dir():
        return Known(0, [])
    with os.scandir(where) as entries:
        held = [(entry.stat(), entry.path) for entry in entries if entry.name.endswith(".safetensors")]
    old = sorted((stat.st_mtime_ns, stat.st_size, path) for stat, path in held if stat.st_mtime_ns < STARTED)
    return Known(sum(stat.st_size for stat, _ in held), old[::-1])


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
