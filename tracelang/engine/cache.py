"""Trajectories on disk, each set named by what it was sampled from."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

from torch import Tensor

from tracelang.clock import work_clock
from tracelang.engine.rollout import Start, Trajectories
from tracelang.files import cache_folder
from tracelang.models import store
from tracelang.models.protocol import Model

FORMAT = 1
SPARED: dict[str, float] = {}
"""Of each set that this process used, the seconds of work that it took another process to make; 0 of its own."""


def folder() -> Path:
    """`trajectories` in the user's cache folder."""
    return cache_folder("trajectories")


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


def cached(
    name: str, make: Callable[[], Trajectories], where: Path | None, limit: int | None = None, device: str = "cpu"
) -> Trajectories:
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
    SPARED[name] = 0.0
    begin = work_clock(device)
    made = make()
    told = {"prompts": json.dumps(made.prompts), "seconds": repr(work_clock(device) - begin)}
    with contextlib.suppress(OSError):
        store.keep(path, _tensors(made), told, limit)
    return made


def _read(path: Path) -> Trajectories | None:
    held = store.read(path)
    try:
        if held is None:
            return None
        tensors, metadata = held
        prompts = tuple(json.loads(metadata["prompts"]))
        SPARED.setdefault(path.stem, float(metadata.get("seconds", 0)))
    except (KeyError, ValueError):
        return None
    return Trajectories(prompts, **{name: tensors.get(name) for name in _NAMES})  # type: ignore[arg-type]


_NAMES = ("times", "latents", "conditional", "empty", "anchor")


def _tensors(made: Trajectories) -> dict[str, Tensor]:
    found = {name: getattr(made, name) for name in _NAMES}
    return {name: value for name, value in found.items() if value is not None}
