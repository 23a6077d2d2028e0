from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, integer, number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.tables import MAX_SEED
from tracelang.semantics.values import HELD_TOKENS, TOKENS, HeldTokens, Layers, Tokens


@dataclass(frozen=True, slots=True)
class Project(Pass):
    """Mapping erased states in closed form by what preserved states cannot see: those stay exactly as they are.

    docs/methods.md §4.3. Preserved directions with a singular value up to `threshold` of the largest are free;
    `threshold_absolute`, an eigenvalue of the mean Gram, replaces it.
    """

    kind: str = "project"
    label: str = "project"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    tokens: Tokens = choice("tail", "as `refine.tokens`", among=TOKENS, holds=TOKENS)
    preserved_tokens: HeldTokens = choice(
        "all",
        "which states of a preserved prompt are held: all, or its phrase's last",
        among=HELD_TOKENS,
        holds=HELD_TOKENS,
    )
    threshold: float = number(
        1e-6, "preserved directions with a singular value up to this share of the largest are free", above=0, high=1
    )
    threshold_absolute: float | None = number(
        None,
        "the same as an eigenvalue of the mean Gram matrix; where given, `threshold` is not used. For published values",
        above=0,
        absent="none",
    )
    ridge: float = number(
        0.01, "pull toward the unedited weights, times the mean square of the erased states' free parts", low=0
    )
    ridge_absolute: float | None = number(
        None,
        "the same as a plain number, a prompt; where given, `ridge` is not used. For published values",
        low=0,
        absent="none",
    )
    least_angle: float = number(
        0.1, "as a sine: a concept that lies nearer to all that is preserved is refused", low=0, high=1
    )
    filter: float = number(
        0.0, "hold only preserved states that the edit would move by more than this times their mean; 0: all", low=0
    )
    augment: int = integer(
        0, "so many noisy copies of each preserved state are looked at, and held likewise", low=0, high=1000, more=True
    )
    invariants: int = integer(
        0, "hold of the empty prompt its start and so many centres of the rest, exactly; 0: all states", low=0, high=64
    )
    seed: int = integer(0, "start of every random number of the pass", low=0, high=MAX_SEED)
    closed_form = True
    maps_states = True

    def holds_prior(self, erased: int) -> bool:
        return True
