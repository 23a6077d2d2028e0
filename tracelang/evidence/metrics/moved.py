"""How far the edit moves the prediction along the unedited model's path."""

from __future__ import annotations

from tracelang.evidence.bench import Failed
from tracelang.evidence.metrics.metric import Figure, Measured, open_, valued
from tracelang.evidence.schema import Measure
from tracelang.plan.types import Assertion, Member


def drift(one: Assertion, measured: Measured, member: Member) -> Measure:
    found = measured.drifts.get((member, one.samples, one.seed), Failed("it was not measured"))
    if isinstance(found, Failed):
        return open_(member, found.why)
    return valued(one, member, found, note=f"mean of {one.samples} trajectories")


MEASURES: dict[str, Figure] = {"drift": drift}
