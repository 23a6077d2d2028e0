"""A text encoder too large to hold: its blocks are read from the checkpoint's own files when they are needed.

accelerate's offload keeps the blocks on the meta device and, for the length of a block's forward pass, puts the stored
tensors in their place; the page cache is all that remains of them. No second copy is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from math import prod
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from accelerate.utils import PrefixedDataset
from torch import Tensor, nn

from tracelang.models import weights
from tracelang.models.header import Entry
from tracelang.models.libraries import quiet
from tracelang.models.parts import component, encoder
from tracelang.models.single.tensors import tensor

SHARE = 0.5
"""Of the memory that is available, what an encoder may take before it is streamed."""


def held_or_streamed(kind: Any, folder: Path, blocks: str, place: torch.device, dtype: torch.dtype) -> Any:
    """The encoder, whole where it fits into half the memory that is available, else streamed. Raises ModelError."""
    size = sum(prod(entry.shape) for _, entry in weights.find(folder).tensors.values()) * dtype.itemsize
    if size <= SHARE * available(place):
        return encoder(kind, folder, place, dtype)
    return streamed(kind, folder, blocks, place, dtype)


def available(place: torch.device) -> int:
    """Bytes that a process could still take on the device."""
    if place.type == "cuda":
        return torch.cuda.mem_get_info(place)[0]
    return int(psutil.virtual_memory().available)


def streamed(kind: Any, folder: Path, blocks: str, place: torch.device, dtype: torch.dtype) -> Any:
    """The encoder with the modules of the list `blocks` (a path inside it) on disk, the rest in memory, all frozen.

    A block takes its prompts one by one, so that its tensors are read once for all of them, and every prompt's states
    are bit for bit those that the whole encoder gives it alone. Raises ModelError.
    """
    with quiet():
        model = component(kind, folder, dtype=dtype, device_map="meta").eval().requires_grad_(False)
    held = Stored(weights.find(folder).tensors)
    for i, block in enumerate(model.get_submodule(blocks)):
        block.forward = one_by_one(block.forward)
        read = PrefixedDataset(held, f"{blocks}.{i}.")
        add_hook_to_module(block, AlignDevicesHook(place, offload=True, weights_map=read, place_submodules=True))
    for name, parameter in model.named_parameters():
        if not name.startswith(f"{blocks}."):
            owner, _, leaf = name.rpartition(".")
            value = held[name].to(place, parameter.dtype)
            setattr(model.get_submodule(owner), leaf, nn.Parameter(value, requires_grad=False))
    model.tie_weights()
    return model


class Stored(Mapping[str, Tensor]):
    """Tensors by name, read from their files when they are asked for."""

    def __init__(self, places: Mapping[str, tuple[Path, Entry]]) -> None:
        self.places = places

    def __getitem__(self, name: str) -> Tensor:
        return tensor(*self.places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def is_streamed(encoder: nn.Module) -> bool:
    """Are tensors of it on disk?"""
    return any(parameter.is_meta for parameter in encoder.parameters())


def one_by_one(forward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """A block's forward pass `(hidden [n, L, d], …) → (hidden, …)` a row at a time; the other results, which do not
    depend on the prompt, are those of the last row.
    """

    @wraps(forward)
    def rows(hidden: Tensor, *rest: Any, **more: Any) -> tuple[Any, ...]:
        made = [forward(row, *rest, **more) for row in torch.split(hidden, 1)]
        return torch.cat([one[0] for one in made]), *made[-1][1:]

    return rows
