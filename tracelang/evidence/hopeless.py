"""What is known of an expectation before any picture is drawn: that it cannot pass."""

from __future__ import annotations

from tracelang.evidence.metrics.metric import TOO, percent
from tracelang.plan.explain import said
from tracelang.plan.types import Assertion, Plan
from tracelang.semantics.rules.unreachable_bound import reach
from tracelang.semantics.tables import METRICS


def hopeless(plan: Plan) -> list[str]:
    """The assertions that stay inconclusive however well every picture turns out: known before any is drawn."""
    return [f"{said(one, 3)}: {why}" for one in plan.expect if (why := why_hopeless(one))]


def why_hopeless(one: Assertion) -> str:
    """Why it stays inconclusive whatever is measured; empty where it may pass."""
    metric = METRICS[one.metric]
    if metric.subject == "erased" and one.bound >= 1:
        return f"the base model's share is at most {percent(1)}: {TOO}; it cannot pass"
    if not metric.counted:
        return ""
    n = one.samples * len(one.concepts)
    room = one.bound if one.comparison == "<=" else 1 - one.bound
    if reach(n) <= room:
        return ""
    best = reach(n) if one.comparison == "<=" else 1 - reach(n)
    return f"{n} pictures show at best {one.comparison} {percent(best)}; it cannot pass"
