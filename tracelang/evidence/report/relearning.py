"""What fine-tuning, rounding and merging do to an edit, counted from the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracelang.evidence.bench import Record, select
from tracelang.evidence.controls import NEVER, kind_of
from tracelang.evidence.half_life import Curves, Ratio, gains, half_life, half_of_gain, half_of_start, ratio
from tracelang.evidence.schema import DegreePoint, LearningCurve, Merging, Rate, Reading, Relearning
from tracelang.evidence.tuning import Tuning
from tracelang.evidence.units.relearn import Course, CurveRow, RelearnRecord, ShamRecord
from tracelang.evidence.verdicts import rate
from tracelang.plan.types import Member

ALIKE = 0.8, 1.25
"""A sham concept's ratio in between says that the models learn new things alike."""
KEPT = 0.8
"""Of what the base drew right so much has to be there still, at every step up to the half-life."""
POWER = 0.5
"""The lower end of the base's rate, below which its half is too little to wait for."""


@dataclass(frozen=True)
class Learnt:
    """The records of all fine-tunings."""

    courses: Mapping[tuple[Member, Course], tuple[RelearnRecord, ...]]
    shams: Mapping[Tuning, tuple[ShamRecord, ...]]

    @staticmethod
    def of(records: Mapping[str, Record]) -> Learnt:
        courses: dict[tuple[Member, Course], tuple[RelearnRecord, ...]] = {}
        for one in select(records, RelearnRecord).values():
            courses[one.member, one.course] = (*courses.get((one.member, one.course), ()), one)
        shams: dict[Tuning, tuple[ShamRecord, ...]] = {}
        for sham in select(records, ShamRecord).values():
            shams[sham.tuning] = (*shams.get(sham.tuning, ()), sham)
        return Learnt(courses, shams)

    def findings(self) -> Iterator[Relearning]:
        for member, course in self.courses:
            yield self.finding(member, course)

    def finding(self, member: Member, course: Course) -> Relearning:
        """What one course says of one concept."""
        records = self.courses[member, course]
        told: dict[str, Any] = {
            "member": member,
            "data": course.data,
            "pictures": course.pictures,
            "tuning": course.tuning,
        }
        failed = [one.error or one.inapplicable for one in records if one.error or one.inapplicable]
        by_model = {
            name: [one for one in records if one.model == name] for name in dict.fromkeys(r.model for r in records)
        }
        if failed or not by_model.get("base") or not by_model.get("edited"):
            why = failed[0] if failed else "base or edited model was not trained"
            return Relearning(**told, curves=(), reading="open", reason=why)
        curves = tuple(_curve(name, some, by_model["base"]) for name, some in by_model.items())
        before = curves[list(by_model).index("base")].shown[0]
        if before.low < POWER:
            why = f"the base model shows it in {before.hits} of {before.n} pictures, too few for its half to mean much"
            return Relearning(**told, curves=curves, reading="open", reason=why)
        twins = [name for name in by_model if kind_of(name) == NEVER]
        if not twins:
            why = (
                "no model that never knew it was trained beside it, so what was left cannot be told from what is learnt"
            )
            return Relearning(**told, curves=curves, reading="not compared", reason=why)
        found = ratio(
            _shows(by_model["edited"]), [_shows(by_model[name]) for name in twins], _shows(by_model["base"]),
            by_model["base"][0].grid, half_of_start,
        )  # fmt: skip
        sham = self._sham(course.tuning, twins)
        if isinstance(sham, Ratio):
            told |= {"sham": sham.value, "sham_interval": (sham.low, sham.high)}
        interval = None if found.value is None else (found.low, found.high)
        edited = curves[list(by_model).index("edited")]
        says, why = reading(found, sham, edited)
        sound = found.value is not None and not unsound(sham, edited)
        return Relearning(
            **told, curves=curves, ratio=found.value, interval=interval, sound=sound, reading=says, reason=why
        )

    def _sham(self, tuning: Tuning, twins: Sequence[str]) -> Ratio | str:
        """How fast the edited model learns what none ever saw, beside the twins; or why nobody knows."""
        records = self.shams.get(tuning, ())
        if failed := [one.error for one in records if one.error]:
            return failed[0]
        by_model = {name: [one for one in records if one.model == name] for name in ("base", "edited", *twins)}
        if not all(by_model.values()):
            return "no sham concept was learnt"
        curves = {name: gains(_losses(some)) for name, some in by_model.items()}
        never = [curves[name] for name in twins]
        return ratio(curves["edited"], never, curves["base"], by_model["base"][0].grid, half_of_gain)


def unsound(sham: Ratio | str, edited: LearningCurve) -> str:
    """Why a ratio says nothing of memory; empty where it does."""
    if isinstance(sham, str):
        return sham
    if sham.value is None:
        return "no model learnt the sham concept, so nobody can tell how fast they learn"
    if not ALIKE[0] <= sham.value <= ALIKE[1]:
        pace = f"the edited model needs {sham.value:.2f} times the steps for a concept that no model ever saw"
        return f"{pace}, outside {ALIKE[0]:g} to {ALIKE[1]:g}: it learns everything at another pace"
    there = [one for one in _until(edited) if one is not None and one.n]
    if not there:
        return "no judge knows anything that was to be kept, so nobody can tell whether the model was damaged"
    worst = min(there, key=lambda one: one.share)
    if worst.share < KEPT:
        return f"of what was to be kept {worst.hits} of {worst.n} pictures are left on the way: the model is damaged"
    return ""


def reading(found: Ratio, sham: Ratio | str, edited: LearningCurve) -> tuple[Reading, str]:
    """What a ratio says, and why; open where the comparison does not hold."""
    if found.value is None:
        return (
            "open",
            f"neither the edited model nor those that never knew it learnt it within {edited.steps[-1]} steps",
        )
    if why := unsound(sham, edited):
        return "open", why
    if found.high is not None and found.high < 1:
        return "residue shown", "it comes back in fewer steps than a model needs that never knew it"
    if found.low is not None and found.low >= ALIKE[0]:
        return "none by this probe", f"it takes at least {ALIKE[0]:g} times the steps of a model that never knew it"
    return "open", "the interval holds both fewer steps than a model needs that never knew it, and as many"


def _until(edited: LearningCurve) -> Iterator[Rate | None]:
    """What was kept at every step up to the half-life."""
    for step, kept in zip(edited.steps, edited.kept, strict=True):
        yield kept
        if step >= edited.half_life:
            return


def _curve(model: str, records: Sequence[RelearnRecord], base: Sequence[RelearnRecord]) -> LearningCurve:
    grid = records[0].grid
    shows = _shows(records)
    level = half_of_start(_mean(shows), _mean(_shows(base)))
    found = half_life(_mean(shows), grid, level)
    right = {(one.seed, row.sample) for one in base for row in one.kept if row.shows[0]}
    kept = [row for one in records for row in one.kept if (one.seed, row.sample) in right]
    return LearningCurve(
        model=model,
        steps=grid,
        trainings=len(records),
        shown=tuple(_at([row for one in records for row in one.plain], i) for i in range(len(grid))),
        kept=tuple(_at(kept, i) if kept else None for i in range(len(grid))),
        half_life=found.steps,
        censored=found.censored,
    )


def _at(rows: Sequence[CurveRow], step: int) -> Rate:
    return rate(sum(row.shows[step] for row in rows), len(rows))


def _shows(records: Sequence[RelearnRecord]) -> Curves:
    """`[seeds, grid, pictures]`, in the seeds' order."""
    ordered = sorted(records, key=lambda one: one.seed)
    return np.stack([np.array([row.shows for row in one.plain], dtype=np.float64).T for one in ordered])


def _losses(records: Sequence[ShamRecord]) -> Curves:
    ordered = sorted(records, key=lambda one: one.seed)
    return np.stack([np.array(one.losses, dtype=np.float64).T for one in ordered])


def _mean(curves: Curves) -> Curves:
    found: Curves = curves.mean(axis=(0, 2))
    return found


def merging(degrees: Sequence[DegreePoint]) -> Merging | None:
    """The share of the base at which half of its rate is back, between the degrees drawn; None without any."""
    points = sorted(degrees, key=lambda one: -one.degree)
    if len(points) < 2 or not all(one.shown.n for one in points) or points[-1].degree != 0:
        return None
    base = points[-1].shown
    level = base.share / 2
    for i, one in enumerate(points):
        if base.hits and one.shown.share >= level:
            if i == 0:
                return Merging(half=0.0, base=base)
            last = points[i - 1]
            part = (level - last.shown.share) / (one.shown.share - last.shown.share)
            return Merging(half=1 - (last.degree + part * (one.degree - last.degree)), base=base)
    return Merging(half=None, base=base)
