from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Suppress(Term):
    """Suppressing the attention that a concept's tokens get."""

    kind: str = "suppress"
    label: str = "suppress"
