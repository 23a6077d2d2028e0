"""What came of an expectation: its metric's figures of every member, and the verdict they give together."""

from __future__ import annotations

from tracelang.evidence.measured import Measured
from tracelang.evidence.metrics import MEASURES
from tracelang.evidence.metrics.metric import Share
from tracelang.evidence.pooled import together
from tracelang.evidence.schema import Outcome
from tracelang.evidence.verdicts import farthest, worst
from tracelang.plan.types import Assertion


def outcome(one: Assertion, measured: Measured) -> Outcome:
    """What came of an assertion."""
    measure = MEASURES[one.metric]
    if isinstance(measure, Share):
        verdict, reason, measures = together(one, measured, measure)
    else:
        measures = tuple(measure(one, measured, member) for member in one.concepts)
        verdict = worst([found.verdict for found in measures])
        reason = ""
    last = farthest(measures, one.comparison)
    if not reason:
        several = f"{' & '.join(last.member)}, the worst of {len(measures)}: " if len(measures) > 1 else ""
        reason = several + last.reason
    return Outcome(
        metric=one.metric,
        attack=one.attack,
        comparison=one.comparison,
        bound=one.bound,
        samples=one.samples,
        seed=one.seed,
        verdict=verdict,
        reason=reason,
        measures=measures,
        worst=last.member,
    )
