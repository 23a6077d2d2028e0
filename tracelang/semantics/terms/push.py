from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Push(Term):
    """Pushing the prediction for erased prompts away from the concept, toward its anchor."""

    kind: str = "push"
    label: str = "push"
    strength: float = number(1.0, "how far past the anchor's prediction", low=0, more=True)
