"""What fine-tuning, rounding and merging do to an edit, counted from the records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracelang.evidence.bench import Record, select
from tracelang.evidence.controls import NEVER, kind_of
from tracelang.evidence.damage import Kept, kept
from tracelang.evidence.half_life import Curves, Ratio, between, gains, half_life, half_of_gain, half_of_start, ratio
from tracelang.evidence.schema import DegreePoint, LearningCurve, Merging, Rate, Reading, Relearning, Spared
from tracelang.evidence.tuning import Tuning
from tracelang.evidence.units.relearn import Course, CurveRow, RelearnRecord, ShamRecord
from tracelang.evidence.verdicts import rate
from tracelang.plan.types import Member

ALIKE = 0.8, 1.25
"""A sham concept's ratio in between says that the models learn new things alike."""
KEPT = 0.8
"""Of what models keep on the way that never knew the concept, the edited model has to keep so much."""
ENOUGH = 16
"""Everyday pictures of the edited model below which that cannot be read: of so many, all kept, the 95 % interval
(Wilson) begins at 80 %.
"""
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
        twins = [name for name in by_model if kind_of(name) == NEVER]
        known = _known([by_model[name] for name in ("base", *twins)])
        curves = tuple(_curve(name, some, by_model["base"], known) for name, some in by_model.items())
        before = curves[list(by_model).index("base")].shown[0]
        if before.low < POWER:
            why = f"the base model shows it in {before.hits} of {before.n} pictures, too few for its half to mean much"
            return Relearning(**told, curves=curves, reading="open", reason=why)
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
            told |= {"sham": sham.value, "sham_bound": sham.bound}
            told |= {"sham_interval": None if sham.value is None else (sham.low, sham.high)}
        edited = curves[list(by_model).index("edited")]
        spared = None
        if known.any():
            looks = sum(1 for _ in takewhile(lambda step: step < edited.half_life, edited.steps)) + 1
            spared = kept(_rights(by_model["edited"]), [_rights(by_model[name]) for name in twins], known, looks)
            interval = spared.low, spared.high
            told["spared"] = Spared(
                n=spared.n, edited=spared.edited, never=spared.never, ratio=spared.value, interval=interval
            )
        says, why = reading(found, sham, spared, edited.steps[-1])
        return Relearning(
            **told,
            curves=curves,
            ratio=found.value,
            bound=found.bound,
            interval=None if found.value is None else (found.low, found.high),
            sound=found.value is not None and not unsound(sham, spared),
            reading=says,
            reason=why,
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


def unsound(sham: Ratio | str, spared: Kept | None) -> str:
    """Why a ratio says nothing of memory; empty where it does."""
    if isinstance(sham, str):
        return sham
    if sham.value is None:
        return "no model learnt the sham concept, so nobody can tell how fast they learn"
    if sham.bound or not ALIKE[0] <= sham.value <= ALIKE[1]:
        steps = f"{sham.bound} {sham.value:.2f}" if sham.bound else f"{sham.value:.2f}"
        pace = f"the edited model needs {steps} times the steps for a concept that no model ever saw"
        return f"{pace}, and only from {ALIKE[0]:g} to {ALIKE[1]:g} do they learn alike"
    if spared is None:
        return (
            "no judge can tell everyday pictures apart of which the recipe says nothing, so nobody knows whether the "
            "model was damaged"
        )
    told = f"of {spared.n} everyday pictures it keeps {spared.edited:.0%} on the way"
    told += f", models that never knew it {spared.never:.0%}"
    if spared.high is not None and spared.high < KEPT:
        return f"{told}: the model is more damaged than they are"
    if spared.n < ENOUGH or spared.low < KEPT:
        return f"{told}: too few to tell whether the model is more damaged than they are"
    return ""


def reading(found: Ratio, sham: Ratio | str, spared: Kept | None, last: int) -> tuple[Reading, str]:
    """What a ratio says, and why; open where the comparison does not hold. `last`: the steps of the training."""
    if found.value is None:
        return "open", f"neither the edited model nor those that never knew it learnt it within {last} steps"
    if why := unsound(sham, spared):
        return "open", why
    if found.high is not None and found.high < 1:
        return "residue shown", "it comes back in fewer steps than a model needs that never knew it"
    if found.low is not None and found.low >= ALIKE[0]:
        return "none by this probe", f"it takes at least {ALIKE[0]:g} times the steps of a model that never knew it"
    if found.bound == "at most":
        why = f"models that never knew it did not learn it within {last} steps"
        return "open", f"{why}, so only an upper bound is known, which does not lie below 1"
    return "open", "the interval holds both fewer steps than a model needs that never knew it, and as many"


def _curve(
    model: str, records: Sequence[RelearnRecord], base: Sequence[RelearnRecord], known: NDArray[np.bool_]
) -> LearningCurve:
    grid = records[0].grid
    shows = _shows(records)
    theirs = _shows(base)
    found = half_life(_mean(shows), grid, half_of_start(_mean(shows), _mean(theirs)))
    rights = _rights(records)
    return LearningCurve(
        model=model,
        steps=grid,
        trainings=len(records),
        shown=tuple(_at([row for one in records for row in one.plain], i) for i in range(len(grid))),
        kept=tuple(
            rate(int(rights[:, i][known].sum()), int(known.sum())) if known.any() else None for i in range(len(grid))
        ),
        half_life=found.steps,
        censored=found.censored,
        interval=between(shows, theirs, grid, half_of_start),
    )


def _known(models: Iterable[Sequence[RelearnRecord]]) -> NDArray[np.bool_]:
    """`[seeds, pictures]`: the everyday ones that all of the models draw right before they are trained."""
    found: NDArray[np.bool_] = np.logical_and.reduce([_rights(records)[:, 0] > 0 for records in models])
    return found


def _rights(records: Sequence[RelearnRecord]) -> Curves:
    """Everyday pictures `[seeds, grid, pictures]`."""
    return _stacked(records, [one.kept for one in records])


def _at(rows: Sequence[CurveRow], step: int) -> Rate:
    return rate(sum(row.shows[step] for row in rows), len(rows))


def _shows(records: Sequence[RelearnRecord]) -> Curves:
    """`[seeds, grid, pictures]`, in the seeds' order."""
    return _stacked(records, [one.plain for one in records])


def _stacked(records: Sequence[RelearnRecord], pictures: Sequence[Sequence[CurveRow]]) -> Curves:
    rows = sorted(zip([one.seed for one in records], pictures, strict=True), key=lambda pair: pair[0])
    grid = len(records[0].grid)
    return np.stack([np.array([row.shows for row in some], dtype=np.float64).reshape(-1, grid).T for _, some in rows])


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
