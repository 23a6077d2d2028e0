from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Blank(Term):
    """Holding the empty prompt to the unedited model's own prediction."""

    kind: str = "blank"
    label: str = "blank"
    on = "empty"
