from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from tracelang.records import dataclass, replace
from tracelang.semantics.fields import number
from tracelang.semantics.kinds import Cost, Left, Met, Pass

Layer = TypeVar("Layer")

CALIBRATION, CALIBRATION_STEPS = 16, 20
"""Trajectories a group of prompts, and their sampler steps, on which the inputs of mixed layers are measured."""
GRAMS = 4 << 30
"""Bytes of Gram matrices measured together, in float64. Stable Diffusion's layers take 2.3 GB of them, FLUX's 143."""


@dataclass(frozen=True, slots=True)
class Fuse(Pass):
    """Making one edit of the adapters of several concepts; with fewer than two it does nothing.

    docs/methods.md §2.6. What a layer reads is measured while sampling where it is mixed with image and time: of as
    many layers at a time as `GRAMS` holds, so that a large model is sampled several times.
    """

    kind: str = "fuse"
    label: str = "fuse"
    ridge: float = number(0.01, "as `refine.ridge`, over all erased concepts", above=0)
    keep_weight: float = number(1.0, "weight of the preserved states", low=0, more=True)
    closed_form = True

    def cost(self, met: Met) -> Cost:
        """Of layers with mixed inputs: sampling of every erased concept, and of all that is preserved."""
        if met.before.adapters < 2 or not met.before.mixed:
            return Cost()
        trajectories = len(met.anchored) * calibrations(1) + calibrations(1 + met.preserved)
        return Cost(2 * CALIBRATION_STEPS * trajectories * len(groups(met.before.mixed)))

    def problem(self, met: Met) -> str | None:
        if met.before.adapters > 1 and met.before.whole:
            return "it makes one edit of adapters alone, and a pass before it changes whole matrices; leave it out"
        return None

    def holds_prior(self, erased: int) -> bool:
        return erased > 1

    def leaves(self, met: Met) -> Left:
        return replace(met.before, adapters=min(met.before.adapters, 1))


def calibrations(members: int) -> int:
    """How many trajectories calibrate a group of concepts, at least one a member."""
    return max(CALIBRATION, members)


def groups(widths: Mapping[Layer, int]) -> list[list[Layer]]:
    """Layers whose Gram matrices, each as wide as the layer's input, fit into `GRAMS` together; at least one."""
    result: list[list[Layer]] = []
    room = 0
    for layer, width in widths.items():
        size = 8 * width**2
        if size > room:
            result.append([])
            room = GRAMS
        result[-1].append(layer)
        room -= size
    return result
