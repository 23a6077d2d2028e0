"""A component with weights out of a single file, by diffusers' and transformers' own classes."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tracelang.models.header import Entry
from tracelang.models.single.reference import Held

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32,
}  # fmt: skip


ALIGNED = 64
"""Bytes at whose multiples torch's own memory begins."""


def tensor(file: Path, entry: Entry) -> Tensor:
    """A tensor of a safetensors file by its place there, a view of the file until it is changed or moved."""
    kind = DTYPES[entry.dtype]
    if entry.begin == entry.end:
        return torch.empty(entry.shape, dtype=kind)
    start = entry.begin - entry.begin % mmap.ALLOCATIONGRANULARITY
    with file.open("rb") as opened:
        held = mmap.mmap(opened.fileno(), entry.end - start, access=mmap.ACCESS_COPY, offset=start)
    return torch.frombuffer(held, dtype=torch.uint8, offset=entry.begin - start).view(kind).view(entry.shape)


def loaded(kind: Any, folder: Path, held: Held, **options: Any) -> tuple[Any, Mapping[str, Any]]:
    """The component, and what `from_pretrained` says of keys: `missing_keys`, `mismatched_keys`. `options` are the
    library's: the dtype, and `device_map="meta"` for a module without weights.
    """
    empty = options.get("device_map") == "meta"
    state = {
        name: torch.empty(entry.shape, dtype=DTYPES[entry.dtype], device="meta")
        if empty
        else _turned(held, name, entry)
        for name, entry in held.tensors.items()
    }
    from accelerate import init_empty_weights

    if hasattr(kind, "config_class"):  # transformers
        config = kind.config_class.from_pretrained(folder, local_files_only=True)
        part, info = kind.from_pretrained(None, config=config, state_dict=state, output_loading_info=True, **options)
        return _aligned(part), info
    with init_empty_weights(include_buffers=False):
        part = kind.from_config(kind.load_config(folder, local_files_only=True))
    wanted = part.state_dict()
    mismatched = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    dtype = options.get("torch_dtype")
    fitting = {name: state[name].to(dtype) for name in wanted if name in state and name not in mismatched}
    part.load_state_dict(fitting, strict=False, assign=True)
    return _aligned(part), {"missing_keys": wanted.keys() - state.keys(), "mismatched_keys": mismatched}


def _aligned(part: nn.Module) -> nn.Module:
    """Every weight in memory of its own: views of a file begin anywhere, and kernels sum in another order there."""
    for parameter in part.parameters():
        if parameter.data_ptr() % ALIGNED:
            parameter.data = parameter.data.clone()
    return part


def _turned(held: Held, name: str, entry: Entry) -> Tensor:
    """The tensor as diffusers has it."""
    turn = held.turns.get(name)
    if turn == "transposed":
        stored = Entry(entry.dtype, entry.shape[::-1], entry.begin, entry.end)
        return tensor(held.file, stored).T.contiguous()
    if turn == "swapped":
        first, second = tensor(held.file, entry).chunk(2)
        return torch.cat([second, first])
    return tensor(held.file, entry)
