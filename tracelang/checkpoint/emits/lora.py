"""`lora.safetensors`: the edit as an adapter, in the names that diffusers reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracelang.checkpoint import lora
from tracelang.checkpoint.forms import Emitted, Work
from tracelang.checkpoint.merge import DTYPES
from tracelang.models import header, weights
from tracelang.plan.types import Plan

KEY = "lora"
RELATION = "adapter"
EMPTY = False
FILE = "lora.safetensors"


def refuse(base: Path, plan: Plan) -> None:
    """Nothing is known before the edit."""


def write(work: Work, draft: Path) -> Emitted:
    """In the dtype of the matrices that it changes (float32 for a float64 base)."""
    site = next(iter(work.deltas))
    dtype = weights.find(work.base / site.component).tensors[site.tensor][1].dtype
    stored = dtype if dtype in DTYPES and dtype != "F64" else "F32"
    lora.write(draft / FILE, work.deltas, stored, {"format": "pt", "tracelang.plan": work.plan.digest})
    return Emitted({"tensors": len(header.read(draft / FILE).tensors)}, files=(FILE,))


def card(facts: Mapping[str, Any], out: Path) -> str:
    return (
        "`lora.safetensors` is the same edit as an adapter for the base: "
        '`pipe.load_lora_weights(".", weight_name="lora.safetensors")`.'
    )
