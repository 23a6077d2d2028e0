from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, choices, number, sites
from tracelang.semantics.kinds import Met, Pass
from tracelang.semantics.values import HELD_TOKENS, TOKENS, HeldTokens, Layers, Tokens

QUIRKS = ("transposed", "repeated", "determinant")
"""What the release does otherwise than its objective says, each by a name (docs/methods.md §4.4)."""


@dataclass(frozen=True, slots=True)
class Rotate(Pass):
    """Turning each matrix by an orthogonal map of its output, away from what it makes of the erased states.

    docs/methods.md §4.4. Lengths and angles of all that a matrix makes of states stay as they are. It turns or it does
    not: there is no degree between, and no LoRA of it.
    """

    kind: str = "rotate"
    label: str = "rotate"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    tokens: Tokens = choice("last", "as `refine.tokens`", among=TOKENS, holds=TOKENS)
    preserved_tokens: HeldTokens = choice(
        "all",
        "which states of a preserved prompt are held: all, or its phrase's last",
        among=HELD_TOKENS,
        holds=HELD_TOKENS,
    )
    erase_weight: float = number(
        20.0, "weight of the erased directions, times the most that the preserved ones weigh along them", low=0
    )
    keep_weight: float = number(1.0, "weight of the preserved states", low=0, more=True)
    prior: float = number(0.1, "as `refine.prior`", low=0)
    ridge: float = number(1.0, "weight of all states alike, times the mean eigenvalue of the preserved Gram", above=0)
    compat: tuple[str, ...] = choices("quirks of the release that are reproduced", among=QUIRKS, absent="none")
    closed_form = True
    maps_states = True

    @property
    def whole(self) -> bool:
        return True

    def holds_prior(self, erased: int) -> bool:
        return True

    def problem(self, met: Met) -> str | None:
        """A turn by less is no weaker erasure: where it does not reverse a direction, it does next to nothing."""
        if met.before.gated:
            return "it cannot follow a gated pass, whose edit is none of weights"
        if any(degree < 1 for degree in met.degrees):
            least = min(met.degrees)
            return f"an orthogonal map has no degree, and {least:.0%} is asked for; say 100%, or use another pass"
        return None
