from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, integer, number, sites
from tracelang.semantics.kinds import Met, Pass
from tracelang.semantics.values import TOKENS, Layers, Tokens


@dataclass(frozen=True, slots=True)
class Harden(Pass):
    """Rounds in closed form that search what still brings the concepts back, and erase that too.

    docs/methods.md §4.1. `penalty` is relative to the mean eigenvalue of `Σ WᵀW`, `ridge` to that of the found states'
    Gram; `penalty_absolute` and `ridge_absolute` replace them.
    """

    kind: str = "harden"
    label: str = "harden"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    tokens: Tokens = choice("all", "as `refine.tokens`: the states that are searched for", among=TOKENS, holds=TOKENS)
    rounds: int = integer(3, "how often to search and erase", low=1, high=1000, more=True)
    penalty: float = number(
        0.01,
        "weight of the found states' squared norm, times the mean eigenvalue of the matrices' Gram: larger is milder",
        above=0,
    )
    penalty_absolute: float | None = number(
        None,
        "the same as a plain number; where given, `penalty` is not used. For published values",
        above=0,
        absent="none",
    )
    ridge: float = number(
        0.01, "pull toward the weights before the round, as `refine.ridge`, of the found states", above=0
    )
    ridge_absolute: float | None = number(
        None,
        "the same as a plain number; where given, `ridge` is not used. For published values",
        above=0,
        absent="none",
    )
    keep_weight: float = number(1.0, "weight of the preserved states", low=0, more=True)
    closed_form = True
    maps_states = True

    def holds_prior(self, erased: int) -> bool:
        return True

    def problem(self, met: Met) -> str | None:
        if met.before.gated:
            return "it cannot follow a gated pass, whose edit is none of weights"
        return None
