from __future__ import annotations

from typing import Literal, get_args

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, number
from tracelang.semantics.kinds import Met, Term

From = Literal["blank", "anchor"]


@dataclass(frozen=True, slots=True)
class Push(Term):
    """Pushing the prediction for erased prompts away from the concept, toward its anchor."""

    kind: str = "push"
    label: str = "push"
    strength: float = number(1.0, "how far past the anchor's prediction", low=0, more=True)
    from_: From = choice(
        "blank",
        "what the direction away from the concept begins at: the empty prompt's prediction, or the anchor's",
        among=get_args(From),
        later=True,
    )

    def problem(self, met: Met) -> str | None:
        if self.from_ == "anchor" and not all(met.anchored):
            return (
                "`from = anchor` needs an anchor of every erased concept; write `erase X toward Y`, or `from = blank`"
            )
        return None
