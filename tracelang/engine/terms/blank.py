from __future__ import annotations

from torch import Tensor

from tracelang.engine.rollout import Seen
from tracelang.semantics.terms.blank import Blank


def target(term: Blank, seen: Seen, degree: float) -> Tensor:
    """The original model's prediction for no prompt."""
    return seen.empty
