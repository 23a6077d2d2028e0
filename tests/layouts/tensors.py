"""Tensors that are drawn when they are written: a true checkpoint is larger than memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.generic]
BITS = {
    "F32": np.uint32,
    "F16": np.uint16,
    "BF16": np.uint16,
    "I64": np.int64,
    "U8": np.uint8,
    "F8_E4M3": np.uint8,
    "F8_E5M2": np.uint8,
    "I8": np.uint8,
}
"""Values are kept as bits: moving, splitting and joining them needs no arithmetic, and numpy has no bfloat16."""
POOL = 1 << 21


@dataclass(frozen=True)
class Tensor:
    """One tensor: `bits()` makes its values, `[*shape]` in `BITS[dtype]`; a hole is zeros that take no place."""

    dtype: str
    shape: tuple[int, ...]
    bits: Callable[[], Bits]
    hole: bool = False

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * np.dtype(BITS[self.dtype]).itemsize

    def map(self, shape: tuple[int, ...], change: Callable[[Bits], Bits]) -> Tensor:
        return replace(self, shape=shape, bits=lambda: change(self.bits()))

    def cast(self, dtype: str) -> Tensor:
        """The same values in another dtype of floating point, rounded."""
        return replace(self, dtype=dtype, bits=lambda: stored(floats(self.dtype, self.bits()), dtype))


Tensors = Mapping[str, Tensor]


def joined(parts: list[Tensor]) -> Tensor:
    """The tensors one below another, along the first axis."""
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    hole = all(part.hole for part in parts)
    return Tensor(parts[0].dtype, shape, lambda: np.concatenate([part.bits() for part in parts]), hole)


def given(dtype: str, value: object) -> Tensor:
    """A small tensor of these numbers."""
    array = np.asarray(value)
    bits = array.astype(BITS[dtype]) if np.issubdtype(BITS[dtype], np.integer) and dtype in ("I64", "U8") else None
    made = stored(array.astype(np.float32), dtype) if bits is None else bits
    return Tensor(dtype, array.shape, lambda: made)


def drawn(name: str, shape: tuple[int, ...], dtype: str, seed: int) -> Tensor:
    """Random values that the name and the seed decide: matrices scaled by fan-in, scales of norms about 1."""

    def bits() -> Bits:
        at, count = crc32(f"{seed}/{name}".encode()) % POOL, math.prod(shape)
        pool = _pool()
        values = pool[at : at + count] if at + count <= POOL else np.resize(np.roll(pool, -at), count)
        values = values.reshape(shape)
        if len(shape) > 1:
            values = values / math.sqrt(math.prod(shape[1:]))
        else:
            values = values * 0.1 + (1.0 if name.endswith("weight") else 0.0)
        return stored(values.astype(np.float32), dtype)

    return Tensor(dtype, shape, bits)


@lru_cache(1)
def _pool() -> NDArray[np.float32]:
    return np.random.Generator(np.random.SFC64(0)).standard_normal(POOL, np.float32)


def hole(tensor: Tensor) -> Tensor:
    return replace(tensor, bits=lambda: np.zeros(tensor.shape, BITS[tensor.dtype]), hole=True)


def stored(values: NDArray[np.float32], dtype: str) -> Bits:
    """float32 values as the bits of a floating dtype, rounded to nearest (ties to even)."""
    if dtype == "BF16":
        bits = values.view(np.uint32) if values.flags.c_contiguous else np.ascontiguousarray(values).view(np.uint32)
        return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(
            np.uint16
        )
    return np.ascontiguousarray(values.astype({"F32": np.float32, "F16": np.float16}[dtype])).view(BITS[dtype])


def floats(dtype: str, bits: Bits) -> NDArray[np.float32]:
    """Bits of a floating dtype as float32 values."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return bits.view({"F32": np.float32, "F16": np.float16}[dtype]).astype(np.float32)


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file, the tensors in the order given; its folder is made. A hole is skipped in the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, tensor in tensors.items():
        ends = [position, position + tensor.size]
        table[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": ends}
        position += tensor.size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            if tensor.hole:
                file.seek(tensor.size, 1)
            else:
                file.write(np.ascontiguousarray(tensor.bits()).tobytes())
        file.truncate(8 + len(text) + position)
    return path


def read(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file as `write` takes them, read when asked for. Believes the header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        table = json.loads(file.read(length))
    table.pop("__metadata__", None)

    def one(row: dict[str, object]) -> Tensor:
        dtype, shape = str(row["dtype"]), tuple(row["shape"])
        begin = 8 + length + row["data_offsets"][0]

        def bits() -> Bits:
            count = math.prod(shape)
            return np.fromfile(path, BITS[dtype], count, offset=begin).reshape(shape)

        return Tensor(dtype, shape, bits)

    return {name: one(row) for name, row in table.items()}
