from __future__ import annotations

from torch import Tensor

from tracelang.engine.rollout import Seen
from tracelang.semantics.terms.push import Push


def target(term: Push, seen: Seen, degree: float) -> Tensor:
    """`base − strength·δ(X)` with `δ(X) = pred°(X) − pred°(∅)`, where base is `pred°(∅)`, or the anchor's prediction
    where there is one; `from = anchor` takes `δ` from that too (docs/methods.md §3.1). Then
    `pred°(X) + degree·(that − pred°(X))`.
    """
    base = seen.empty if seen.anchor is None else seen.anchor
    pushed = base - term.strength * (seen.conditional - (seen.empty if term.from_ == "blank" else base))
    return pushed if degree == 1 else seen.conditional + degree * (pushed - seen.conditional)
