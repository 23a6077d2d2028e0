from __future__ import annotations

from torch import Tensor

from tracelang.engine.rollout import Seen
from tracelang.semantics.terms.keep import Keep


def target(term: Keep, seen: Seen, degree: float) -> Tensor:
    """The original model's own prediction."""
    return seen.conditional
