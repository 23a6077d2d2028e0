"""What fine-tuning brings back: base, edited model and controls, each trained alike on few pictures and looked at on
the way (docs/methods.md §5.9). A member's own pictures relearn it; others are benign.

Beside it every model learns a sham concept by the same protocol, which none of them ever saw: broken weights learn
slowly too, and a comparison holds only where they learn that alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from tracelang.engine.sampling import precision
from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence import sham
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.attacks import Inapplicable
from tracelang.evidence.bench import (
    Bench,
    Failed,
    Record,
    SampleRow,
    Unit,
    Wanted,
    attempt,
    judged,
    presence,
    prompts_and_seeds,
)
from tracelang.evidence.controls import NEVER, kind_of
from tracelang.evidence.everyday import LEAST
from tracelang.evidence.judges import Matching
from tracelang.evidence.panel import Sought, digest
from tracelang.evidence.pictures import Sample, clean_samples, drawable, roles, spread
from tracelang.evidence.shelf import Held
from tracelang.evidence.tuning import Lesson, Tuning, losses, tuned
from tracelang.evidence.units.attack import clean
from tracelang.evidence.units.everyday import unnamed
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Member, Plan
from tracelang.text import joined

HELD = 24
"""Pictures of the concept that are drawn at each step of the grid, of seeds that no training saw."""
KEPT = 24
"""Everyday pictures of what the recipe names nowhere, likewise."""
FIGURES = 32
"""Sham figures on which the loss is taken."""
TURNS = 4
"""How often further pictures are drawn where the judge accepted too few."""

Data = Literal["own", "related", "unrelated"]


@dataclass(frozen=True, slots=True)
class Course:
    """What a model is trained on: so many `pictures` of the concept itself, of preserved ones (`related`), or of
    everyday things (`unrelated`); and how.
    """

    data: Data
    pictures: int
    tuning: Tuning

    @property
    def key(self) -> str:
        return f"{self.data}-{self.pictures}-{self.tuning}"


USUAL = Course("own", 5, "adapter")
"""The course that the metric `relearn` and every report have."""
FURTHER = (
    Course("own", 1, "adapter"),
    Course("own", 25, "adapter"),
    Course("own", 5, "full"),
    Course("related", 25, "adapter"),
    Course("unrelated", 25, "adapter"),
)
"""Those of `--thorough`."""
SEEDS, MORE_SEEDS = 2, 3
"""Trainings of each model, and with `--thorough`."""


class CurveRow(SampleRow):
    """A picture at each step of the grid: is it shown?"""

    shows: tuple[bool, ...]


class RelearnRecord(Record):
    """`plain`: pictures of the member's names; `kept`: everyday ones, where a judge can tell what is right. With an
    error, or a reason why it is `inapplicable`, neither.
    """

    member: Member
    model: str
    data: Data
    taught: int
    tuning: Tuning
    seed: int
    grid: tuple[int, ...]
    plain: tuple[CurveRow, ...] = ()
    kept: tuple[CurveRow, ...] = ()
    inapplicable: str = ""

    @property
    def course(self) -> Course:
        return Course(self.data, self.taught, self.tuning)


class ShamRecord(Record):
    """The loss on each held-out figure (rows) at each step of the grid."""

    model: str
    tuning: Tuning
    seed: int
    grid: tuple[int, ...]
    losses: tuple[tuple[float, ...], ...] = ()


def members(wanted: Wanted) -> list[Member]:
    """Those that are relearned: every erased one that may be drawn and that a judge knows; without samples those that
    an expectation names.
    """
    asked = {member for one in wanted.plan.expect if one.metric == "relearn" for member in one.concepts}
    erased = [member for member, role in roles(wanted.plan).items() if role == "erased"]
    every = dict.fromkeys([*(erased if wanted.samples else ()), *asked])
    return [member for member in every if member in wanted.judged and drawable(wanted.plan, member)]


def models(wanted: Wanted) -> tuple[str, ...]:
    """The random control is no part of it: it learns nothing in so few steps."""
    return "base", "edited", *(name for name in wanted.controls if kind_of(name) == NEVER)


def courses(wanted: Wanted) -> tuple[Course, ...]:
    return (USUAL, *FURTHER) if wanted.thorough else (USUAL,)


def grid(steps: int) -> tuple[int, ...]:
    """Where one looks: before the first step, and at a tenth, a fifth, half and all of them."""
    return tuple(dict.fromkeys((0, *(max(1, round(steps * share)) for share in (0.1, 0.2, 0.5, 1.0)))))


def fine_grid(steps: int) -> tuple[int, ...]:
    """The same for a loss, which is cheap: twenty places."""
    return tuple(dict.fromkeys((0, *(max(1, round(steps * i / 20)) for i in range(1, 21)))))


@dataclass(frozen=True)
class Right:
    """Everyday pictures, and who tells whether one shows what it was asked for: a judge's world by the class `sought`,
    else a judge that tells the prompts apart, where its own fits best.
    """

    samples: tuple[Sample, ...] = ()
    sought: tuple[Sought | None, ...] = ()
    matching: Matching | None = None

    def of(self, bench: Bench, images: Tensor) -> list[bool]:
        """Of each picture. Raises ValueError where a judge fails on one."""
        known = [(one,) for one in self.sought if one is not None]
        if len(known) == len(self.samples):
            return _shown(bench, images, known) if known else []
        assert self.matching is not None
        prompts = [sample.prompt for sample in self.samples]
        texts = list(dict.fromkeys(prompts))
        nearest = self.matching.nearest(images, texts)
        return [texts[k] == prompt for k, prompt in zip(nearest, prompts, strict=True)]


@dataclass(frozen=True)
class RelearnUnit(Unit):
    """`everyday`: pictures of what the recipe does not speak of, with what each should show, where a judge's world says
    so.
    """

    member: Member
    model: str
    course: Course
    seed: int
    everyday: tuple[tuple[Sample, Sought | None], ...]

    kind = "relearn"
    title = "relearning"
    record = RelearnRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[RelearnUnit]:
        plan = wanted.plan
        preserved = any(role == "preserved" and drawable(plan, member) for member, role in roles(plan).items())
        everyday = tuple(wanted.everyday.items())
        there = {"own": True, "related": preserved, "unrelated": bool(everyday)}
        for i, member in enumerate(members(wanted)):
            for course in courses(wanted):
                for model in models(wanted) if there[course.data] else ():
                    for seed in range(MORE_SEEDS if wanted.thorough else SEEDS):
                        key = f"relearn-{i:04d}-{course.key}-{model}-{seed}"
                        control = model if model in wanted.controls else ""
                        yield cls(key, member, model, course, seed, everyday, control=control)

    def done(self, bench: Bench, folder: Path) -> RelearnRecord:
        told = RelearnRecord(
            member=self.member,
            model=self.model,
            data=self.course.data,
            taught=self.course.pictures,
            tuning=self.course.tuning,
            seed=self.seed,
            grid=grid(bench.budget.tuning),
        )
        try:
            found = attempt(lambda: self._curves(bench, told.grid), Inapplicable)
        except Inapplicable as why:
            return told.model_copy(update={"inapplicable": str(why)})
        if isinstance(found, Failed):
            return told.model_copy(update={"error": f"relearning {joined(self.member)}, {self.model}: {found.why}"})
        plain, kept = found
        drawn = len(told.grid) * (len(plain) + len(kept))
        return told.model_copy(update={"plain": plain, "kept": kept, "pictures": drawn})

    def _curves(self, bench: Bench, grid: Sequence[int]) -> tuple[tuple[CurveRow, ...], tuple[CurveRow, ...]]:
        plan = bench.plan
        held, right = _samples(plan, self.member, "relearnt", HELD, self.seed), self._kept(bench)
        every = [*held, *right.samples]
        model = bench.model(self.model)

        def looked() -> Held:
            lesson = self._lesson(bench)
            refuse(plan, [*lesson.prompts, *(sample.prompt for sample in every)], EvidenceError)
            sought = [bench.panel.classes[self.member]] * len(held)
            shows: list[list[bool]] = [[] for _ in every]
            for _, student in tuned(model, lesson, self.course.tuning, self.seed, grid):
                images = bench.draw(student, every)
                found = [*_shown(bench, images[: len(held)], sought), *right.of(bench, images[len(held) :])]
                for row, one in zip(shows, found, strict=True):
                    row.append(one)
            return {}, {"shows": shows}

        judges = [digest(card) for card in bench.panel.cards]
        asked = [
            *bench.plainly,
            list(self.member),
            self.course.key,
            self.seed,
            judges,
            prompts_and_seeds(held),
            prompts_and_seeds(every),
        ]
        _, told = bench.once(bench.shared(model, "relearn", asked), looked, len(grid) * len(every))
        rows = tuple(
            CurveRow(prompt=sample.prompt, seed=sample.seed, shows=tuple(row))
            for sample, row in zip(every, told["shows"], strict=True)
        )
        return rows[: len(held)], rows[len(held) :]

    def _kept(self, bench: Bench) -> Right:
        """Pictures of the everyday panel, of seeds of this training's own, that the recipe names nowhere: what it
        preserves it chose itself, and the anchor is what learning the concept again overwrites.
        """
        judges = bench.panel.judges
        free = {sample.prompt: sought for sample, sought in unnamed(bench.plan, judges, dict(self.everyday)).items()}
        matching = next((judge for judge in judges if isinstance(judge, Matching)), None)
        if len(free) < LEAST or (matching is None and None in free.values()):
            return Right()
        asked = [sample.prompt for sample in spread(list(free), KEPT, 0)]
        samples = tuple(Sample(prompt, seed_of("kept", prompt, i, self.seed)) for i, prompt in enumerate(asked))
        return Right(samples, tuple(free[prompt] for prompt in asked), matching)

    def _lesson(self, bench: Bench) -> Lesson:
        plan, count = bench.plan, self.course.pictures
        if self.course.data == "own":
            return own(bench, self.member, count)
        if self.course.data == "unrelated":
            samples = spread([sample.prompt for sample, _ in self.everyday], count, 0)
        else:
            near = [member for member, role in roles(plan).items() if role == "preserved" and drawable(plan, member)]
            samples = spread([p.text for member in near for p in edit_prompts(plan, member)], count, 0)
        samples = tuple(Sample(one.prompt, seed_of("taught", one.prompt, i, 0)) for i, one in enumerate(samples))
        refuse(plan, [sample.prompt for sample in samples], EvidenceError)
        return Lesson(bench.latents(bench.base, samples), tuple(sample.prompt for sample in samples))


@dataclass(frozen=True)
class ShamUnit(Unit):
    model: str
    tuning: Tuning
    seed: int

    kind = "sham"
    title = "a sham concept"
    record = ShamRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[ShamUnit]:
        for tuning in dict.fromkeys(course.tuning for course in courses(wanted)) if members(wanted) else ():
            for model in models(wanted):
                for seed in range(MORE_SEEDS if wanted.thorough else SEEDS):
                    control = model if model in wanted.controls else ""
                    yield cls(f"sham-{tuning}-{model}-{seed}", model, tuning, seed, control=control)

    def done(self, bench: Bench, folder: Path) -> ShamRecord:
        grid = fine_grid(bench.budget.tuning)
        told = ShamRecord(model=self.model, tuning=self.tuning, seed=self.seed, grid=grid)
        found = attempt(lambda: self._losses(bench, grid))
        if isinstance(found, Failed):
            return told.model_copy(update={"error": f"a sham concept, {self.model}: {found.why}"})
        return told.model_copy(update={"losses": found})

    def _losses(self, bench: Bench, grid: Sequence[int]) -> tuple[tuple[float, ...], ...]:
        refuse(bench.plan, [sham.PROMPT], EvidenceError)
        model = bench.model(self.model)

        def lost() -> Held:
            taught = sham.lesson(bench.base, 0, USUAL.pictures)
            held = sham.lesson(bench.base, USUAL.pictures, FIGURES)
            return {}, {
                "losses": [losses(student, held) for _, student in tuned(model, taught, self.tuning, self.seed, grid)]
            }

        asked = [self.tuning, self.seed, list(grid), USUAL.pictures, FIGURES]
        _, told = bench.once(bench.shared(model, "sham", asked), lost)
        return tuple(zip(*told["losses"], strict=True))


def own(bench: Bench, member: Member, count: int) -> Lesson:
    """`count` pictures of a concept as the base draws it, of those that a judge accepts the first. Raises Inapplicable
    where the base draws too few.
    """
    samples, latents = list(clean_samples(bench.plan, member)), clean(bench, member)
    accepted = _accepted(bench, member, latents)
    for turn in range(TURNS):
        if len(accepted) >= count:
            break
        more = _samples(bench.plan, member, "taught", count, turn)
        fresh = bench.latents(bench.base, more)
        accepted += [len(samples) + i for i in _accepted(bench, member, fresh)]
        samples, latents = [*samples, *more], torch.cat([latents, fresh])
    if len(accepted) < count:
        few = f"of {len(samples)} pictures that the base model draws of it the judge accepts {len(accepted)}"
        raise Inapplicable(f"{few}, and {count} are to be learnt")
    first = accepted[:count]
    return Lesson(latents[first], tuple(samples[i].prompt for i in first))


def _accepted(bench: Bench, member: Member, latents: Tensor) -> list[int]:
    with torch.no_grad(), precision(bench.base, True):
        images = bench.base.decode(latents).float()
    return [i for i, shows in enumerate(_shown(bench, images, [bench.panel.classes[member]] * len(images))) if shows]


def _shown(bench: Bench, images: Tensor, sought: Sequence[Sequence[Sought]]) -> list[bool]:
    """Does each picture show what is sought in it? Raises ValueError where a judge fails on one."""
    also = [one for some in sought for one in some]
    found = [presence(one, some) for one, some in zip(judged(bench.panel, images, also), sought, strict=True)]
    if error := next((one.error for one in found if one.error), ""):
        raise ValueError(error)
    return [one.shows for one in found]


def _samples(plan: Plan, member: Member, purpose: str, count: int, seed: int) -> tuple[Sample, ...]:
    """Pictures of a member's names under seeds of their own."""
    asked = spread([prompt.text for prompt in edit_prompts(plan, member)], count, 0)
    return tuple(Sample(one.prompt, seed_of(purpose, one.prompt, i, seed)) for i, one in enumerate(asked))
