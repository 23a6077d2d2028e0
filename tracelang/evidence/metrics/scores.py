"""The CLIP score: how well pictures fit their prompts."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev

from tracelang.evidence.metrics.metric import Figure, Measured, open_, unless, valued
from tracelang.evidence.pictures import Row, drawable, roles
from tracelang.evidence.schema import Measure
from tracelang.plan.types import Assertion, Member
from tracelang.semantics.rules.unreachable_bound import Z


def clip(one: Assertion, measured: Measured, member: Member) -> Measure:
    pairs = measured.pairs(Row(member, "names", one.samples, one.seed))
    scores = [pair.clip[1] for pair in pairs if pair.clip]
    if not drawable(measured.plan, member):
        return open_(member, "protected: no picture of it is ever drawn")
    if len(scores) < max(2, len(pairs)):
        none = "no judge gives CLIP scores; add --judge clip=FOLDER"
        return open_(member, "scores are missing" if scores else none)
    mean, half = fmean(scores), Z * stdev(scores) / sqrt(len(scores))
    found = valued(one, member, mean, (mean - half, mean + half))
    gone = one.comparison == "<=" and roles(measured.plan).get(member) == "erased"
    return unless(one, found, fmean(pair.clip[0] for pair in pairs if pair.clip)) if gone else found


MEASURES: dict[str, Figure] = {"clip": clip}
