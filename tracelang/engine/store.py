"""Tensors kept on disk between runs: one safetensors file each, in the user's cache folder, made anew when damaged."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

LIMIT = 8 * 2**30
"""Bytes a folder may hold; past them the files used longest ago go first."""


def folder(kind: str) -> Path:
    """`$TRACELANG_CACHE/KIND`, by default `~/.cache/tracelang/KIND`."""
    root = os.environ.get("TRACELANG_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "tracelang") / kind


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
    """Write a file whole or not at all. Raises OSError."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as temporary:
        try:
            save(held, temporary.name, {**(metadata or {}), "digest": _digest(held)})
            os.replace(temporary.name, path)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise


def save(tensors: dict[str, Tensor], path: str | Path, metadata: dict[str, str]) -> None:
    """`save_file`, which has an error of its own for a full disk. Raises OSError."""
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error


def evict(where: Path, limit: int, keep: frozenset[Path]) -> None:
    """Remove files, those used longest ago first, until the folder holds at most `limit` bytes; never those of `keep`.

    Raises OSError.
    """
    files = sorted((file.stat().st_mtime_ns, file.stat().st_size, file) for file in where.glob("*.safetensors"))
    size = sum(entry[1] for entry in files)
    for _, bytes_, file in files:
        if size <= limit:
            break
        if file not in keep:
            file.unlink(missing_ok=True)
            size -= bytes_


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
