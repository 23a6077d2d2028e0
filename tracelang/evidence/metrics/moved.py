"""How far the edit moves the prediction along the unedited model's path."""

from __future__ import annotations

from tracelang.evidence.bench import Failed
from tracelang.evidence.metrics.metric import Figure, Measured, open_, valued
from tracelang.evidence.pictures import drawable
from tracelang.evidence.schema import Measure
from tracelang.plan.types import Assertion, Member


def drift(one: Assertion, measured: Measured, member: Member) -> Measure:
    if not drawable(measured.plan, member):
        return open_(member, "protected: no denoiser is given its words")
    found = measured.drifts.get((member, one.samples, one.seed), Failed("it was not measured"))
    if isinstance(found, Failed):
        return open_(member, found.why)
    if found.low is None or found.high is None:
        return open_(
            member, f"{found.mean:.4g} along one trajectory, which has no spread; ask for 2 samples or more", True
        )
    return valued(one, member, found.mean, (found.low, found.high), note=f"mean of {found.n} trajectories")


MEASURES: dict[str, Figure] = {"drift": drift}
