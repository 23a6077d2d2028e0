"""What was edited and how, in words: what a page begins with."""

from __future__ import annotations

from math import prod
from pathlib import Path

from tracelang.evidence.artifact import Artifact
from tracelang.evidence.schema import About
from tracelang.models import header, weights
from tracelang.plan.explain import percent
from tracelang.plan.types import Erasure
from tracelang.semantics.kinds import does
from tracelang.text import joined


def about(artifact: Artifact) -> About:
    """Of an OUT. Raises ModelError where the edited checkpoint has no weights that can be read."""
    plan, lock = artifact.plan, artifact.lock
    return About(
        erased=tuple(map(_erased, plan.erase)),
        model=str(lock.get("base_model", lock["model"]["name"])),
        family=str(lock.get("family", "")),
        parameters=None if artifact.model is None else parameters(artifact.model),
        method=plan.method.name,
        passes=tuple((one.label, does(type(one))) for one in plan.method.passes),
    )


def _erased(one: Erasure) -> str:
    toward = "away from it" if one.away else f"toward {joined(one.anchor)}" if one.anchor else "with no anchor"
    part = "" if one.degree == 1 else f", by {percent(one.degree)}"
    return f"{joined(one.targets)}, {toward}{part}"


def parameters(model: Path) -> int:
    """The numbers in the weights of a checkpoint, a folder or a single file, counted from the files' headers."""
    if model.is_file():
        return sum(prod(entry.shape) for entry in header.listed(model).tensors.values())
    parts = [model / name for name in weights.components(model)]
    held = [weights.find(part) for part in parts if any(part.glob("*.safetensors"))]
    return sum(prod(entry.shape) for found in held for _, entry in found.tensors.values())
