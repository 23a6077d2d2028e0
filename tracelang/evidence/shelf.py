"""What models draw that no edit touches, kept for the next edit that is measured beside them: tensors by all that
decides them, in a folder that several processes use.

A file says what it is of, inside its digest: one that is damaged, or was made of anything else, is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracelang.models import store
from tracelang.models.protocol import TextStates

FORMAT = 1
Held = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""Tensors, and what is told beside them, as JSON has it."""
OF, TOLD = "of", "told"


@dataclass(frozen=True, slots=True)
class Shelf:
    """`folder` holds at most `tracelang.files.cache_limit` bytes; what was used longest ago goes."""

    folder: Path

    def once(self, facts: Sequence[object], make: Callable[[], Held]) -> tuple[Held, bool]:
        """What is there of these facts, else `make()`, kept; and was it there? Another process that is making it is
        waited for. A folder that cannot be written to is no reason to stop.
        """
        said = _said(facts)
        if (found := self._read(said)) is not None:
            return found, True
        with self._lock(said, wait=True):
            if (found := self._read(said)) is not None:
                return found, True
            tensors, told = make()
            with contextlib.suppress(OSError):
                whole = {**tensors, OF: _bytes(said), TOLD: _bytes(json.dumps(told))}
                store.keep(self._path(said), whole)
        return (tensors, told), False

    def busy(self, facts: Sequence[object]) -> bool:
        """Is another process making it just now?"""
        said = _said(facts)
        with self._lock(said, wait=False) as free:
            return not free and not self._path(said).exists()

    def _path(self, said: str) -> Path:
        return self.folder / f"{hashlib.sha256(said.encode()).hexdigest()}.safetensors"

    def _read(self, said: str) -> Held | None:
        held = store.read(self._path(said))
        try:
            if held is None or _text(held[0].pop(OF)) != said:
                return None
            told = json.loads(_text(held[0].pop(TOLD)))
        except (KeyError, ValueError, RecursionError):
            return None
        return (held[0], told) if isinstance(told, dict) else None

    @contextlib.contextmanager
    def _lock(self, said: str, wait: bool) -> Iterator[bool]:
        """Whether it could be had. A file system without locks has it."""
        with contextlib.ExitStack() as stack:
            free = True
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(self._path(said).with_suffix(".lock").open("a"))
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                free = False
            except OSError:
                pass
            yield free


def digest(states: TextStates | None) -> str:
    """Text states as a fact; empty where there are none."""
    if states is None:
        return ""
    found = hashlib.sha256()
    for name, value in sorted(states.inputs.items()):
        found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _said(facts: Sequence[object]) -> str:
    return json.dumps([FORMAT, *facts], sort_keys=True, ensure_ascii=False)


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _text(data: Tensor) -> str:
    return bytes(data.numpy()).decode()
