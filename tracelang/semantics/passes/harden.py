from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import integer, number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.values import Layers


@dataclass(frozen=True, slots=True)
class Harden(Pass):
    """Rounds that search what still brings the concept back, and erase that too.

    docs/methods.md §4.1.
    """

    kind: str = "harden"
    label: str = "harden"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    rounds: int = integer(3, "how often to search and erase", low=1, high=1000, more=True)
    penalty: float = number(0.1, "weight of the found states' squared norm: larger is milder", above=0)
    ridge_absolute: float = number(0.1, "pull toward the weights before the round", above=0)
    keep_weight: float = number(1.0, "weight of the preserved states", low=0, more=True)
    maps_states = True
