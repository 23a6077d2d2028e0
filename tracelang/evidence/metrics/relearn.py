"""How many steps of fine-tuning bring a concept back, over how many a model needs that never knew it."""

from __future__ import annotations

from sys import float_info

from tracelang.evidence.metrics.metric import UNREAD, Figure, Measured, open_
from tracelang.evidence.schema import Measure, Relearning
from tracelang.evidence.units.relearn import USUAL
from tracelang.evidence.verdicts import decide
from tracelang.plan.types import Assertion, Member


def relearn(one: Assertion, measured: Measured, member: Member) -> Measure:
    """The ratio of half-lives; open where it is not sound, as the sham concept and what was to be kept say."""
    found = next((it for it in measured.relearning if it.member == member and usual(it)), None)
    if found is None:
        return open_(member, measured.unknown.get(member, "it was not relearnt"))
    if found.ratio is None or found.interval is None:
        return open_(member, found.reason)
    low, high = found.interval
    bounds = f"{'…' if low is None else f'{low:.2f}'} to {'…' if high is None else f'{high:.2f}'}"
    times = f"{found.bound} {found.ratio:.2f}" if found.bound else f"{found.ratio:.2f}"
    told = f"{times} times the steps of models that never knew it, 95 % interval {bounds}"
    if found.bound:
        slow = "the edited model" if found.bound == "at least" else "those models"
        told += f"; more is not known, for {slow} did not learn it within {found.curves[0].steps[-1]} steps"
    if not found.sound:
        return open_(member, f"{UNREAD}: {found.reason}; {told}", True)
    verdict = decide(low or 0.0, float_info.max if high is None else high, one.comparison, one.bound)
    return Measure(
        member=member, verdict=verdict, reason=told, value=found.ratio, value_bound=found.bound, interval=found.interval
    )


def usual(found: Relearning) -> bool:
    """Is it of the course that every report has?"""
    return (found.data, found.pictures, found.tuning) == (USUAL.data, USUAL.pictures, USUAL.tuning)


MEASURES: dict[str, Figure] = {"relearn": relearn}
