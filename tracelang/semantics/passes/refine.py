from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.values import TOKENS, Layers, Tokens


@dataclass(frozen=True, slots=True)
class Refine(Pass):
    """Solving in closed form for one map of the prompt states, which all layers that read them share; no training.

    docs/methods.md §2.2. `ridge` is relative to the mean eigenvalue of the erased Gram; `ridge_absolute` replaces it.
    """

    kind: str = "refine"
    label: str = "refine"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    tokens: Tokens = choice("tail", "which token states are mapped, see below", among=TOKENS, holds=TOKENS)
    ridge: float = number(
        0.01, "pull toward the unedited weights, times the mean eigenvalue of the erased states' Gram matrix", above=0
    )
    ridge_absolute: float | None = number(
        None,
        "the same as a plain number; where given, `ridge` is not used. For published values",
        above=0,
        absent="none",
    )
    erase_weight: float = number(1.0, "weight of the erased states against the preserved ones", above=0, more=True)
    prior: float = number(
        0.0,
        "weight of the model's own vocabulary among the preserved, where no `preserve prior` says it; 0: none",
        low=0,
        later=True,
    )
    closed_form = True
    maps_states = True

    def holds_prior(self, erased: int) -> bool:
        return True
