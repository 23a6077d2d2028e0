"""`lora.safetensors`: the edit as an adapter in diffusers' names, `COMPONENT.MODULE.{lora_A,lora_B}.weight`.

Layers differ in rank. Without alphas that is scale 1 for all of them in diffusers 0.42; older ones take the first
layer's rank for everybody's alpha, unless `lora_adapter_metadata` tells them better, so it does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tracelang.checkpoint import adapters, loaded, lora, modelspec
from tracelang.checkpoint.forms import Asked, Emitted, Work
from tracelang.checkpoint.lora import Layer, Stored
from tracelang.checkpoint.room import Needed
from tracelang.models import configs
from tracelang.models.locate import family_of
from tracelang.plan.family import ModelError, Site
from tracelang.plan.types import Plan

KEY = "lora"
RELATION = "adapter"
EMPTY = False
FILE = "lora.safetensors"


def refuse(base: Path, plan: Plan) -> None:
    """A family whose pipeline loads no LoRA: ModelError. A plan that changes whole matrices: OutputError."""
    adapters.refuse(plan)
    if not family_of(base).reads_lora:
        kind = configs.index(base).get("_class_name")
        raise ModelError(f"{base}: diffusers' {kind} reads no LoRA; emit another form")


def foreseen(asked: Asked) -> Needed:
    """Raises ModelError."""
    return Needed(own=lora.bound(_layers(asked.sites), asked.base, asked.size))


def write(work: Work, draft: Path) -> Emitted:
    """Raises OutputError where diffusers would not read the edit out of it."""
    layers = _layers(work.deltas)
    dtype = lora.dtype_of(work.base, work.deltas)
    found = lora.factors(layers, adapters.changes(work), work.size, dtype)
    tensors = dict[str, Tensor]()
    for name, layer in found.items():
        tensors |= {f"{name}.lora_A.weight": layer.down, f"{name}.lora_B.weight": layer.up}
    told = modelspec.metadata(work, "diffusers", "lora") | {"lora_adapter_metadata": _metadata(found)}
    lora.write(draft / FILE, dtype, tensors, told | adapters.told(work, found))
    read: dict[Any, Any] = {}
    for component in {site.component for site in work.deltas}:
        changes = loaded.diffusers(draft / FILE, work.base, component)
        read |= {(component, module): change for module, change in changes.items()}

    def change(site: Site) -> Any:
        return read.get((site.component, site.module))

    return adapters.emitted(work, draft / FILE, dtype, layers, found, {"diffusers": change})


def card(facts: Mapping[str, Any], out: Path) -> str:
    return (
        f"`{FILE}` is the same edit as an adapter for the base{adapters.within(facts)}: "
        f'`pipe.load_lora_weights(".", weight_name="{FILE}")`.'
    )


def _layers(sites: Iterable[Site]) -> list[Layer]:
    return [Layer(f"{site.component}.{site.module}", site.shape[0], ((site, 0),)) for site in sites]


def _metadata(found: Mapping[str, Stored]) -> str:
    """PEFT's configs of the components, as diffusers' `save_lora_adapter` writes them."""
    told: dict[str, Any] = {}
    for component in sorted({name.partition(".")[0] for name in found}):
        ranks = {
            name.partition(".")[2]: layer.rank for name, layer in found.items() if name.startswith(f"{component}.")
        }
        usual = Counter(ranks.values()).most_common(1)[0][0]
        other = {f"^{name}": rank for name, rank in ranks.items() if rank != usual}
        told |= {
            f"{component}.r": usual,
            f"{component}.lora_alpha": usual,
            f"{component}.rank_pattern": other,
            f"{component}.alpha_pattern": other,
            f"{component}.target_modules": sorted(ranks),
        }
    return json.dumps(told, sort_keys=True)
