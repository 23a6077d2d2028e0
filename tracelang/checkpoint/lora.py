"""An edit as a LoRA file in the names that other programs read; which ones, the edited component decides.

`ΔW = up @ down` is exact: the edits are low rank by construction, so no weights are subtracted. Every layer takes part
at scale 1. An adapter can be unloaded, so it is for review and composition; a deployment ships the edited folder.

A UNet's are kohya's names, which diffusers, ComfyUI and A1111 all read. All layers are padded with zeros to one rank,
and `alpha` is that rank: diffusers (0.42) keeps only the commonest alpha of a kohya file and would scale the layers of
another rank wrongly, with no more than a warning. A transformer's are diffusers' own names, without alphas, which means
scale 1 at any rank: the matrices that read the prompt may need a rank of hundreds, the others eight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from tracelang.checkpoint.merge import DTYPES, raw_bytes, storable
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite, rounded
from tracelang.engine.low_rank import LowRank, compress
from tracelang.models import header
from tracelang.plan.family import ModelError, Site


def write(path: Path, deltas: Mapping[Site, LowRank], dtype: str, metadata: Mapping[str, str]) -> None:
    """Write the adapter; `dtype` as in safetensors (`"F16"`, …). The same edit gives the same bytes.

    A delta that is zero takes no part. Raises ModelError where an entry leaves the range of the dtype.
    """
    layers = adapter(deltas, DTYPES[dtype])
    table = {name: (dtype if tensor.ndim else "F32", tuple(tensor.shape)) for name, tensor in layers.items()}
    header.write(path, table, (raw_bytes(tensor) for tensor in layers.values()), metadata)


def adapter(deltas: Mapping[Site, LowRank], dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors by name, `down [r, in]` and `up [out, r]` of every layer that changes, after any alphas.

    Raises ModelError for a component that no format is known for, and where an entry leaves the range of the dtype.
    """
    found: dict[Site, LowRank] = {}
    for site, delta in deltas.items():
        if site.component not in FORMATS:
            raise ModelError(f"an edit of the {site.component} cannot be written as a LoRA file; emit the folder only")
        with storable():
            for factor in (delta.up, delta.down):
                finite(
                    f"the edit of {site.tensor}", factor, "it cannot be stored; train with a lower rate or in float32"
                )
        factors = compress(delta)
        if factors.rank:
            found[site] = LowRank(_stored(site, factors.up, dtype), _stored(site, factors.down, dtype))
    layers: dict[str, Tensor] = {}
    for component in sorted({site.component for site in found}):
        layers |= FORMATS[component]({site: part for site, part in found.items() if site.component == component})
    return layers


def read(path: Path, sites: Sequence[Site]) -> dict[Site, LowRank]:
    """The deltas of an adapter that `write` made for a model with these sites.

    Raises ModelError for a tensor that is no part of an adapter of theirs.
    """
    from safetensors.torch import load_file

    layers, found = load_file(path), dict[Site, LowRank]()
    for site in sites:
        down, up, alpha = _keys(site)
        if down in layers and up in layers:
            factors = exact(layers.pop(down)), exact(layers.pop(up))
            scale = float(layers.pop(alpha)) / len(factors[0]) if alpha in layers else 1.0
            found[site] = LowRank(factors[1] * scale, factors[0])
    if layers:
        raise ModelError(f"{path}: {min(layers)!r} is no layer of the base model")
    return found


def _keys(site: Site) -> tuple[str, str, str]:
    """The names of a site's factors, down and up, and of its alpha."""
    if FORMATS.get(site.component) is kohya:
        name = "lora_unet_" + site.module.replace(".", "_")
        return f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"
    name = f"{site.component}.{site.module}"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight", ""


def kohya(found: Mapping[Site, LowRank]) -> dict[str, Tensor]:
    """`down_blocks.0.….to_k` → `lora_unet_down_blocks_0_…_to_k.{alpha,lora_down.weight,lora_up.weight}`.

    The alphas, float32, come first, so that every tensor is aligned to its dtype.
    """
    rank = max(factors.rank for factors in found.values())
    named = sorted(((_keys(site), factors) for site, factors in found.items()), key=lambda item: item[0])
    layers = {alpha: torch.tensor(float(rank)) for (_, _, alpha), _ in named}
    for (down, up, _), factors in named:
        missing = rank - factors.rank
        layers[down] = pad(factors.down, (0, 0, 0, missing))
        layers[up] = pad(factors.up, (0, missing))
    return layers


def diffusers(found: Mapping[Site, LowRank]) -> dict[str, Tensor]:
    """`context_embedder` → `transformer.context_embedder.{lora_A,lora_B}.weight`."""
    layers = {}
    for site, factors in sorted(found.items(), key=lambda item: item[0].module):
        down, up, _ = _keys(site)
        layers[down], layers[up] = factors.down, factors.up
    return layers


FORMATS: Mapping[str, Callable[[Mapping[Site, LowRank]], dict[str, Tensor]]] = {
    "unet": kohya,
    "transformer": diffusers,
}
"""By component. Other hosts read other names, so a family with another component adds its own line and its own test."""


def _stored(site: Site, factor: Tensor, dtype: torch.dtype) -> Tensor:
    with storable():
        return rounded(f"{site.tensor}'s adapter", factor, dtype, "emit the folder only")
