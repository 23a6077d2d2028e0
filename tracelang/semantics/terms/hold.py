from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Hold(Term):
    """Holding erased prompts to the prediction that the passes before this one left."""

    kind: str = "hold"
    label: str = "hold"
    before = True
