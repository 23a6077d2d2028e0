from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Keep(Term):
    """Holding preserved prompts to the unedited model's own prediction."""

    kind: str = "keep"
    label: str = "keep"
    weight: float = number(1.0, "weight in the loss, times the weight of each `preserve`", low=0, more=True)
    on = "preserved"
