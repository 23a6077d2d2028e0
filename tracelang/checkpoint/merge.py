"""A change added to stored weights, in float64, one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from tracelang.checkpoint.patch import Change
from tracelang.engine.edit import Deltas
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite, rounded
from tracelang.engine.low_rank import Dense, LowRank
from tracelang.models import weights
from tracelang.models.header import Entry
from tracelang.models.single import reference
from tracelang.plan.family import ModelError, Site

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The floating dtypes that an edit can be stored in, by safetensors name."""


def merged(weight: Tensor, delta: LowRank | Dense, name: str = "a matrix") -> Tensor:
    """`W' = W + ΔW`, summed in float64 and rounded once to W's dtype. Columns that are not changed, of rank 0 all of W,
    and of a whole matrix every number that is not, stay bit for bit: adding 0 would turn a -0 into 0.

    Raises ModelError on NaN or infinity, in W or in what becomes of it.
    """
    if isinstance(delta, LowRank) and not delta.rank:
        return weight
    with storable():
        new = rounded(name, exact(finite(name, weight)) + exact(delta.dense()), weight.dtype)
    changed = delta.matrix.ne(0) if isinstance(delta, Dense) else delta.down.ne(0).any(0)
    return new if changed.all() else torch.where(changed, new, weight)


@contextmanager
def storable() -> Iterator[None]:
    """What the engine says of numbers that no file can hold is said of the model: ModelError."""
    try:
        yield
    except EngineError as error:
        raise ModelError(str(error)) from None


def change(site: Site, deltas: Mapping[Site, LowRank | Dense], called: str = "") -> Change:
    """`merged` on raw bytes, for `patch`. The edit is asked for then, and for the matrix that these bytes are: an
    average over training or a variant is a model of its own. Raises ModelError where dtype or shape does not fit it;
    `called` is what the matrix is called there, where that is another name than diffusers'.
    """
    name = called or site.tensor

    def apply(entry: Entry, raw: bytes) -> bytes:
        if entry.dtype not in DTYPES:
            raise ModelError(f"{name} is stored as {entry.dtype}; an edit needs one of {', '.join(DTYPES)}")
        if entry.shape != site.stored:
            raise ModelError(f"{name} has the shape {list(entry.shape)}, the edit {list(site.stored)}")
        weight = torch.frombuffer(bytearray(raw), dtype=DTYPES[entry.dtype]).view(site.shape)
        with storable():
            delta = deltas.of(site, weight) if isinstance(deltas, Deltas) else deltas[site]
        if delta.shape != site.shape:
            raise ModelError(f"{name} has the shape {list(site.shape)}, the edit {list(delta.shape)}")
        return raw_bytes(merged(weight, delta, name))

    return apply


def stored(base: Path, site: Site) -> Tensor:
    """The site's matrix, of `site.shape`, as the checkpoint holds it. Reads that tensor and headers. Raises ModelError,
    also for a matrix that holds NaN or infinity.
    """
    held = weights.find(base / site.component).tensors
    if site.tensor not in held:
        raise ModelError(f"{base / site.component}: there is no tensor {site.tensor!r}; is this the plan's model?")
    return _read(*held[site.tensor], site, reference.called(base / site.component, site.tensor))


def refuse(base: Path, sites: Iterable[Site]) -> None:
    """Raise what `stored` and `change` raise of any stored copy of these matrices: a variant may hold infinity, or a
    dtype that cannot be edited, where the plain file does not. Reads those matrices and headers.
    """
    components: dict[str, list[Site]] = {}
    for site in sites:
        components.setdefault(site.component, []).append(site)
    for component, wanted in components.items():
        for held in weights.copies(base / component):
            for site in wanted:
                if site.tensor in held:
                    _read(*held[site.tensor], site, reference.called(base / component, site.tensor))


def _read(file: Path, entry: Entry, site: Site, name: str) -> Tensor:
    if entry.dtype not in DTYPES:
        raise ModelError(f"{file}: {name} is stored as {entry.dtype}; an edit needs one of {', '.join(DTYPES)}")
    if entry.shape != site.stored:
        raise ModelError(f"{file}: {name} has the shape {list(entry.shape)}, not {list(site.stored)}")
    with file.open("rb") as opened:
        opened.seek(entry.begin)
        raw = bytearray(opened.read(entry.end - entry.begin))
    with storable():
        return finite(f"{file}: {name}", torch.frombuffer(raw, dtype=DTYPES[entry.dtype]).view(site.shape))


def raw_bytes(tensor: Tensor) -> bytes:
    """A tensor's bytes as safetensors stores them: C order, little endian."""
    return tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
