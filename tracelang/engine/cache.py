"""Trajectories on disk: one safetensors file each, named by what it was sampled from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tracelang.engine.protocol import Model
from tracelang.engine.rollout import Start, Trajectories

FORMAT = 1
LIMIT = 8 * 2**30
"""Bytes the folder may hold; past them the files used longest ago go first."""


def folder() -> Path:
    """`$TRACELANG_CACHE/trajectories`, by default `~/.cache/tracelang/trajectories`."""
    root = os.environ.get("TRACELANG_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "tracelang") / "trajectories"


def key(model: Model, starts: Sequence[Start], steps: int, guidance: float) -> str:
    """What decides a set of trajectories, as 64 hexadecimal digits."""
    facts = [
        FORMAT,
        model.fingerprint,
        str(model.dtype),
        model.device.type,
        model.clock.times(steps),
        guidance,
        [astuple(start) for start in starts],
    ]
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode()).hexdigest()


def cached(name: str, make: Callable[[], Trajectories], where: Path | None, limit: int = LIMIT) -> Trajectories:
    """The trajectories called `name` from the folder `where`, else `make()` and keep them. None: no cache.

    A file that is damaged, or whose tensors do not have the digest it states, is made again; a folder that cannot be
    written to is no reason to stop.
    """
    if where is None:
        return make()
    path = where / f"{name}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    made = make()
    try:
        _write(path, made)
        _evict(where, limit, keep=path)
    except OSError:
        pass
    return made


def _read(path: Path) -> Trajectories | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("digest") != _digest(tensors):
            return None
        prompts = tuple(json.loads(metadata["prompts"]))
        os.utime(path)
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return Trajectories(prompts, **{name: tensors.get(name) for name in _NAMES})  # type: ignore[arg-type]


_NAMES = ("times", "latents", "conditional", "empty", "anchor")


def _write(path: Path, made: Trajectories) -> None:
    tensors: dict[str, Tensor] = {}
    for name in _NAMES:
        value = getattr(made, name)
        if value is not None:
            tensors[name] = value.contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"prompts": json.dumps(made.prompts), "digest": _digest(tensors)}
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as temporary:
        try:
            save_file(tensors, temporary.name, metadata)
            os.replace(temporary.name, path)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _evict(where: Path, limit: int, keep: Path) -> None:
    files = sorted((file.stat().st_mtime_ns, file.stat().st_size, file) for file in where.glob("*.safetensors"))
    size = sum(entry[1] for entry in files)
    for _, bytes_, file in files:
        if size <= limit:
            break
        if file != keep:
            file.unlink(missing_ok=True)
            size -= bytes_
