"""An edit as a LoRA: layers of low rank under a host's names, each truncated to a stated error.

`ΔW = up @ down` is low rank by construction, but of the rank of all erased states, hundreds for one word: written
exactly, the file is as large as the matrices. The singular values fall fast, so 1 % of a layer's change, in the
Frobenius norm, is what most of the rank is spent on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tracelang.checkpoint.merge import DTYPES, raw_bytes, storable
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite, rounded
from tracelang.engine.low_rank import LowRank, truncated
from tracelang.models import header, weights
from tracelang.models.header import SIZES
from tracelang.plan.family import ModelError, Site


@dataclass(frozen=True, slots=True)
class Size:
    """How large the layers of a LoRA are: `rank`, or where that is None as small as `error` allows, the share of a
    layer's change that may be left out (‖·‖_F); 0 keeps all of it.
    """

    error: float = 0.01
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the file: the matrix `[rows, in]` of a host, in which the matrix of each site begins at a row."""

    name: str
    rows: int
    parts: tuple[tuple[Site, int], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A layer's factors in the dtype of the file, and the share of its change that truncation left out."""

    down: Tensor
    up: Tensor
    error: float

    @property
    def rank(self) -> int:
        return len(self.down)


def factors(layers: Iterable[Layer], deltas: Mapping[Site, LowRank], size: Size, dtype: str) -> dict[str, Stored]:
    """The layers that change, by name. The same deltas give the same bits, whatever the number of threads.

    Raises ModelError where a delta does not fit its site, is not finite or leaves the range of the dtype.
    """
    found = {}
    for layer in sorted(layers, key=lambda layer: layer.name):
        whole = _whole(layer, deltas)
        norm = whole.norm()
        if not norm:
            continue
        with _one_thread():
            kept = truncated(whole, size.error, size.rank)
        error = math.sqrt(max(1 - (kept.norm() / norm) ** 2, 0.0))  # what is left out is orthogonal to what is kept
        found[layer.name] = Stored(
            _rounded(layer.name, kept.down, DTYPES[dtype]), _rounded(layer.name, kept.up, DTYPES[dtype]), error
        )
    return found


def _whole(layer: Layer, deltas: Mapping[Site, LowRank]) -> LowRank:
    parts = []
    for site, row in layer.parts:
        delta = deltas[site]
        if (len(delta.up), delta.down.shape[1]) != site.shape or delta.up.shape[1] != len(delta.down):
            raise ModelError(f"{site.tensor}: the edit's factors do not multiply to {list(site.shape)}")
        for factor in (delta.up, delta.down):
            with storable():
                told = "it cannot be stored; train with a lower rate or in float32"
                finite(f"the edit of {site.tensor}", factor, told)
        up = delta.up.new_zeros(layer.rows, delta.rank)
        up[row : row + len(delta.up)] = delta.up
        parts.append(LowRank(up, delta.down))
    return LowRank(torch.cat([part.up for part in parts], 1), torch.cat([part.down for part in parts]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """LAPACK sums in an order that depends on the threads: the last digits would too, and the bytes of the file."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def dtype_of(base: Path, sites: Iterable[Site]) -> str:
    """That of the matrices which are changed, by safetensors name; F32 for a float64 base."""
    site = next(iter(sites))
    dtype = weights.find(base / site.component).tensors[site.tensor][1].dtype
    return dtype if dtype in DTYPES and dtype != "F64" else "F32"


def bound(layers: Sequence[Layer], base: Path, size: Size) -> int:
    """The most bytes that a file of these layers takes: of the rank that is asked for, and where none is, of the
    largest that a matrix can have. Raises ModelError.
    """
    numbers = 0
    for layer in layers:
        inputs = layer.parts[0][0].shape[1]
        most = min(layer.rows, inputs)
        numbers += min(most, size.rank or most) * (layer.rows + inputs)
    return numbers * SIZES[dtype_of(base, (layer.parts[0][0] for layer in layers))]


def write(path: Path, dtype: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors in their order; those without a dimension are float32. The metadata gets ModelSpec's
    `modelspec.hash_sha256`, of all bytes behind the header.
    """
    table = {name: (dtype if tensor.ndim else "F32", tuple(tensor.shape)) for name, tensor in tensors.items()}
    digest = hashlib.sha256()
    for tensor in tensors.values():
        digest.update(raw_bytes(tensor))
    told = {**metadata, "modelspec.hash_sha256": f"0x{digest.hexdigest()}"}
    header.write(path, table, (raw_bytes(tensor) for tensor in tensors.values()), told)


def read(path: Path, sites: Sequence[Site]) -> dict[Site, LowRank]:
    """The deltas of an adapter in diffusers' names for a model with these sites.

    Raises ModelError for a tensor that is no part of an adapter of theirs.
    """
    from safetensors.torch import load_file

    layers, found = load_file(path), dict[Site, LowRank]()
    for site in sites:
        down, up = (f"{site.component}.{site.module}.{part}.weight" for part in ("lora_A", "lora_B"))
        if down in layers and up in layers:
            found[site] = LowRank(exact(layers.pop(up)), exact(layers.pop(down)))
    if layers:
        raise ModelError(f"{path}: {min(layers)!r} is no layer of the base model")
    return found


def larger(path: Path, dtype: str, sites: Iterable[Site]) -> tuple[str, ...]:
    """A remark where the file is no smaller than the matrices themselves."""
    size, whole = path.stat().st_size, sum(site.size for site in sites) * SIZES[dtype]
    if size < whole:
        return ()
    return (
        f"{path.name} takes {megabytes(size)}, the matrices that it changes {megabytes(whole)}: "
        "the folder or a delta is the better file, or a larger --lora-error",
    )


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _rounded(name: str, factor: Tensor, dtype: torch.dtype) -> Tensor:
    with storable():
        return rounded(f"{name}'s adapter", factor, dtype, "emit the folder only")
