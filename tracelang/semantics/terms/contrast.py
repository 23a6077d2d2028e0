from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Contrast(Term):
    """Contrasting a concept's attention with synonyms and unrelated concepts."""

    kind: str = "contrast"
    label: str = "contrast"
