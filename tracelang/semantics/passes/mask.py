from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import integer, number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.values import Layers


@dataclass(frozen=True, slots=True)
class Mask(Pass):
    """Training only the weights that a saliency mask leaves.

    docs/methods.md §4.2: later passes train the weights with the largest gradients over `seeds` runs.
    """

    kind: str = "mask"
    label: str = "mask"
    on: Layers = sites("text", "layers whose weights are masked")
    share: float = number(0.5, "share of each matrix that a run's mask leaves", above=0, high=1, more=True)
    seeds: int = integer(5, "runs whose masks are intersected", low=1, high=1000)
    steps: int = integer(10, "steps over which a run gathers gradients", low=1, high=1_000_000)
