"""An edit as a LoRA file in kohya names, which diffusers, ComfyUI and A1111 all read.

`ΔW = up @ down` is exact: the edits are low rank by construction, so no weights are subtracted. All layers are padded
with zeros to one rank, and `alpha` is that rank, hence scale 1: diffusers (0.42) keeps only the commonest alpha of a
kohya file and would scale the layers of another rank wrongly, with no more than a warning. An adapter can be unloaded,
so it is for review and composition; a deployment ships the edited folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from tracelang.checkpoint import header
from tracelang.checkpoint.merge import DTYPES, raw_bytes
from tracelang.engine.low_rank import LowRank, compress
from tracelang.plan.family import ModelError, Site

PREFIXES = {"unet": "lora_unet_"}
"""By component. Other hosts read other names, so a family with another component adds its own line and its own test."""


def kohya(site: Site) -> str:
    """The layer's name in a LoRA file: `unet`, `down_blocks.0.….to_k` → `lora_unet_down_blocks_0_…_to_k`."""
    if site.component not in PREFIXES:
        raise ModelError(f"an edit of the {site.component} cannot be written as a LoRA file; emit the folder only")
    return PREFIXES[site.component] + site.module.replace(".", "_")


def write(path: Path, deltas: Mapping[Site, LowRank], dtype: str, metadata: Mapping[str, str]) -> None:
    """Write the adapter; `dtype` as in safetensors (`"F16"`, …). The same edit gives the same bytes.

    A delta that is zero takes no part. Raises ModelError where an entry leaves the range of the dtype.
    """
    layers = adapter(deltas, DTYPES[dtype])
    table = {name: (dtype if tensor.ndim else "F32", tuple(tensor.shape)) for name, tensor in layers.items()}
    header.write(path, table, (raw_bytes(tensor) for tensor in layers.values()), metadata)


def adapter(deltas: Mapping[Site, LowRank], dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors by name: `.alpha []` float32, `.lora_down.weight [r, in]` and `.lora_up.weight [out, r]`.

    The alphas come first, so that every tensor is aligned to its dtype.
    """
    found: dict[str, tuple[Site, LowRank]] = {}
    for site, delta in deltas.items():
        if not (delta.up.isfinite().all() and delta.down.isfinite().all()):
            raise ModelError(f"{site.tensor}: the edit is not finite; it cannot be stored")
        factors = compress(delta)
        if factors.rank:
            found[kohya(site)] = site, factors
    rank = max((factors.rank for _, factors in found.values()), default=0)
    scales = {f"{name}.alpha": torch.tensor(float(rank)) for name in sorted(found)}
    layers: dict[str, Tensor] = {}
    for name, (site, factors) in sorted(found.items(), key=lambda item: item[0]):
        missing = rank - factors.rank
        up, down = pad(factors.up, (0, missing)).to(dtype), pad(factors.down, (0, 0, 0, missing)).to(dtype)
        if not (up.isfinite().all() and down.isfinite().all()):
            raise ModelError(f"{site.tensor}: its adapter is not finite in {dtype}; emit the folder only")
        layers[f"{name}.lora_down.weight"], layers[f"{name}.lora_up.weight"] = down, up
    return scales | layers
