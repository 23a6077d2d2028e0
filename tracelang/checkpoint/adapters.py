"""What the forms that are LoRAs have in common: how large they came out, and the check of what was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from tracelang.checkpoint import loaded, lora
from tracelang.checkpoint.forms import Emitted, Work, whole
from tracelang.checkpoint.lora import Layer, Stored
from tracelang.checkpoint.merge import DTYPES
from tracelang.checkpoint.output import OutputError
from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.plan.family import Site
from tracelang.plan.types import Plan


def refuse(plan: Plan) -> None:
    """Raises OutputError for a plan whose change of a matrix has no low rank."""
    if label := whole(plan):
        raise OutputError(f"`{label}` changes whole matrices, which no LoRA holds; emit folder, single-file or delta")


def changes(work: Work) -> Mapping[Site, LowRank]:
    """The edit's changes, each of low rank: `refuse` has seen to it."""
    return cast(Mapping[Site, LowRank], work.deltas)


def told(work: Work, found: Mapping[str, Stored]) -> dict[str, str]:
    """What was asked for and what came of it, for the file's metadata: errors are shares of a layer's change."""
    size = work.size
    return {
        "tracelang.lora_asked": f"rank {size.rank}" if size.rank is not None else f"error {size.error:g}",
        "tracelang.lora_ranks": json.dumps({name: layer.rank for name, layer in found.items()}, sort_keys=True),
        "tracelang.lora_errors": json.dumps(
            {name: float(f"{layer.error:.3g}") for name, layer in found.items()}, sort_keys=True
        ),
    }


def emitted(
    work: Work,
    path: Path,
    dtype: str,
    layers: Iterable[Layer],
    found: Mapping[str, Stored],
    hosts: Mapping[str, Callable[[Site], LowRank | None]],
) -> Emitted:
    """The account of a file, after each host's reading of it was compared with the edit.

    Raises OutputError where a layer is missing, scaled, or further from the edit than truncation and the rounding of
    its factors explain.
    """
    holds = {site: layer for layer in layers for site, _ in layer.parts}
    eps = torch.finfo(DTYPES[dtype]).eps

    def room(site: Site) -> float:
        layer = holds[site]
        stored, norm = found[layer.name], work.deltas[site].norm()
        whole = sum(work.deltas[part].norm() ** 2 for part, _ in layer.parts) ** 0.5
        rounding = 2 * eps * float(exact(stored.up).norm()) * float(exact(stored.down).norm())
        return float((stored.error * whole + rounding) / norm + 1e-6)

    errors = dict[str, float]()
    for host, read in hosts.items():
        errors = loaded.compare(path, host, read, changes(work), room)
    ranks = [layer.rank for layer in found.values()]
    facts: dict[str, Any] = {
        "dtype": dtype,
        "bytes": path.stat().st_size,
        "ranks": {name: layer.rank for name, layer in found.items()},
        "errors": {name: float(f"{error:.3g}") for name, error in errors.items()},
        "error": loaded.bound(errors),
        "summary": f"{path.name}: rank {_span(ranks)}, {lora.megabytes(path.stat().st_size)}; read back, it leaves out "
        f"{max(errors.values(), default=0.0):.2%} of a matrix's change at most",
    }
    return Emitted(facts, files=(path.name,), remarks=lora.larger(path, dtype, work.deltas))


def within(facts: Mapping[str, Any]) -> str:
    """How near it is to the edit, for the card."""
    return f", within {facts['error']:.2%} of each matrix's change"


def _span(ranks: list[int]) -> str:
    low, high = min(ranks, default=0), max(ranks, default=0)
    return str(low) if low == high else f"{low} to {high}"
