"""`lora-kohya.safetensors`: the edit as an adapter in kohya's names, for ComfyUI, A1111, Forge and sd-scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracelang.checkpoint import adapters, kohya, lora, modelspec
from tracelang.checkpoint.forms import Asked, Emitted, Work
from tracelang.checkpoint.room import Needed
from tracelang.models.locate import family_of
from tracelang.plan.family import ModelError
from tracelang.plan.types import Plan

KEY = "lora-kohya"
RELATION = "adapter"
EMPTY = False
FILE = "lora-kohya.safetensors"
NOT_DIFFUSERS = (
    f"{FILE} is not for diffusers, which keeps one alpha of such a file and so scales layers of another rank wrongly: "
    "load lora.safetensors there"
)


def refuse(base: Path, plan: Plan) -> None:
    """Raises ModelError for a family that these hosts have no names for, OutputError for a plan that changes whole
    matrices.
    """
    adapters.refuse(plan)
    name = family_of(base).name(base)
    if name not in kohya.FAMILIES:
        raise ModelError(f"{base}: kohya has no names for a {name} model; emit lora or folder")


def foreseen(asked: Asked) -> Needed:
    """Raises ModelError."""
    family = family_of(asked.base)
    layers = kohya.layers(family.name(asked.base), family.sites(asked.base), asked.sites)
    return Needed(own=lora.bound(layers, asked.base, asked.size))


def write(work: Work, draft: Path) -> Emitted:
    """Raises OutputError where a host would not read the edit out of it."""
    family = work.family.name(work.base)
    layers = kohya.layers(family, work.sites, work.deltas)
    dtype = lora.dtype_of(work.base, work.deltas)
    found = lora.factors(layers, adapters.changes(work), work.size, dtype)
    told = modelspec.metadata(work, modelspec.ORIGINALS[family], "lora")
    told |= modelspec.network(family, (layer.rank for layer in found.values()))
    lora.write(draft / FILE, dtype, kohya.tensors(found), told | adapters.told(work, found))
    read = kohya.read(draft / FILE, family, work.sites)
    made = adapters.emitted(work, draft / FILE, dtype, layers, found, {"a host that reads kohya's names": read.get})
    if family != "flux" and len({layer.rank for layer in found.values()}) > 1:
        return dataclasses.replace(made, remarks=(*made.remarks, NOT_DIFFUSERS))
    return made


def card(facts: Mapping[str, Any], out: Path) -> str:
    return (
        f"`{FILE}` is the same edit as an adapter in kohya's names{adapters.within(facts)}. Put it into "
        "`models/loras` (ComfyUI) or `models/Lora` (A1111, Forge), and load it at strength 1."
    )
