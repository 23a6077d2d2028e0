from __future__ import annotations

from torch import Tensor

from tracelang.engine.rollout import Seen
from tracelang.semantics.terms.hold import Hold


def target(term: Hold, seen: Seen, degree: float) -> Tensor:
    """What the model predicted before the pass."""
    return seen.before
