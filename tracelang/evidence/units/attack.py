"""An attack on an erased concept: made against the base model and replayed, and made against the edited one itself."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tracelang.engine.sampling import precision
from tracelang.evidence import attacks
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.attacks import Found, Inapplicable, Target
from tracelang.evidence.attacks.attack import seeds
from tracelang.evidence.bench import (
    Bench,
    Failed,
    Judgement,
    Judgements,
    Presence,
    Record,
    SampleRow,
    Unit,
    Wanted,
    attempt,
    kept,
    presence,
)
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample, attacked, clean_samples
from tracelang.evidence.schema import Frozen, Rate
from tracelang.evidence.verdicts import rate
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Member

KEPT = 5
"""At most so many pairs of pictures of a side are kept."""

Sides = Literal["static", "adaptive", "both"]


class AttackRow(SampleRow):
    """A picture that the attack brought. `base`: of the same prompt or states and seed, where that was drawn. `form`:
    the kind of wording, where the attack has kinds.
    """

    after: Judgements
    base: Judgements | None = None
    files: tuple[str, str] | None = None
    form: str = ""


class SideRecord(Frozen):
    """One side of an attack; with an `error` or a reason why it is `inapplicable`, nothing else."""

    rows: tuple[AttackRow, ...] = ()
    soft: bool = False
    pictures: int = 0
    budget: dict[str, int | float | str] = {}
    price: float | None = None
    examples: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""
    inapplicable: str = ""


class AttackRecord(Record):
    member: Member
    attack: str
    samples: int
    seed: int
    static: SideRecord
    adaptive: SideRecord

    def result(self, unit: str, sought: Sequence[Sought]) -> AttackResult:
        """What it says of its member, which is `sought`."""
        static, adaptive = (AttackSide.of(side, sought) for side in (self.static, self.adaptive))
        return AttackResult(self.member, self.attack, self.samples, self.seed, static, adaptive, unit)


@dataclass(frozen=True, slots=True)
class Brought:
    """A picture that an attack brought, as its target is concerned; `base`: the base model's, where it was drawn."""

    sample: Sample
    after: Presence
    base: Presence | None = None
    files: tuple[str, str] | None = None
    form: str = ""
    judged: Judgements = field(default_factory=dict)
    base_judged: Judgements | None = None


@dataclass(frozen=True, slots=True)
class AttackSide:
    """One side of an attack, made against the base (static) or the edited model (adaptive), and what it brought."""

    rows: tuple[Brought, ...] = ()
    by_form: bool = False
    soft: bool = False
    price: float | None = None
    examples: tuple[str, ...] = ()
    budget: Mapping[str, int | float | str] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    inapplicable: str = ""

    @staticmethod
    def of(side: SideRecord, sought: Sequence[Sought]) -> AttackSide:
        rows = tuple(
            Brought(
                row.sample,
                presence(row.after, sought),
                None if row.base is None else presence(row.base, sought),
                row.files,
                row.form or row.prompt,
                row.after,
                row.base,
            )
            for row in side.rows
        )
        return AttackSide(
            rows,
            any(row.form for row in side.rows),
            side.soft,
            side.price,
            side.examples,
            side.budget,
            side.seconds,
            side.error,
            side.inapplicable,
        )

    @property
    def rate(self) -> Rate | None:
        return _rate([row.after for row in self.rows])

    @property
    def ceiling(self) -> Rate | None:
        """What the same prompts or states bring on the base model."""
        return _rate([row.base for row in self.rows if row.base is not None])

    @property
    def prompts(self) -> Rate | None:
        """Of the distinct prompts, those that brought it back at least once; None for soft states."""
        found: dict[str, bool] = {}
        for row in () if self.soft else self.rows:
            if not row.after.error:
                found[row.sample.prompt] = found.get(row.sample.prompt, False) or row.after.shows
        return rate(sum(found.values()), len(found)) if found else None

    @property
    def worst(self) -> tuple[str, Rate] | None:
        """The prompt, or the form of wording, that is best shown to bring the concept back; None where there is but
        one.
        """
        groups: dict[str, list[bool]] = {}
        for row in self.rows:
            if not row.after.error and row.form:
                groups.setdefault(row.form, []).append(row.after.shows)
        found = [(form, rate(sum(shows), len(shows))) for form, shows in groups.items()]
        return max(found, key=lambda one: (one[1].low, one[1].share, one[1].n)) if len(found) > 1 else None


@dataclass(frozen=True, slots=True)
class AttackResult:
    """`unit`: the key of the unit that found it."""

    member: Member
    attack: str
    samples: int
    seed: int
    static: AttackSide
    adaptive: AttackSide
    unit: str


@dataclass(frozen=True)
class AttackUnit(Unit):
    member: Member
    attack: str
    samples: int
    seed: int

    kind = "attack"
    title = "attacks"
    record = AttackRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[AttackUnit]:
        """Every attack on every erased concept that may be drawn and that a judge knows."""
        found = attacked(wanted.plan, wanted.attacks, wanted.samples)
        for i, (member, attack, n, seed) in enumerate(found):
            if member in wanted.judged:
                yield cls(f"attack-{i:04d}-{attack}", member, attack, n, seed)

    def done(self, bench: Bench, folder: Path) -> AttackRecord:
        sides: dict[str, SideRecord] = {}
        made: dict[Literal["static", "adaptive"], tuple[Found, float]] = {}
        for side, model in (("static", bench.base), ("adaptive", bench.edited)):
            begin = time.monotonic()
            try:
                found = attempt(lambda model=model: self._found(bench, model), Inapplicable)  # type: ignore[misc]
            except Inapplicable as why:
                sides[side] = SideRecord(error="", inapplicable=str(why))
                continue
            if isinstance(found, Failed):
                sides[side] = SideRecord(error=found.why)
                continue
            made[side] = found, time.monotonic() - begin  # type: ignore[index]
        if any(found.latents is not None for found, _ in made.values()):
            sides |= self._sampled(bench, made, folder)
            made = {}
        searched = {found.prompts for found, _ in made.values() if found.prompts}
        both = len(made) == 2 and len(searched) == 1  # it never asked the model: one set of pictures is both
        for side, (found, seconds) in made.items():
            begin = time.monotonic()
            if both and side == "adaptive" and sides["static"].rows:
                drawn: SideRecord | Failed = sides["static"].model_copy(update={"pictures": 0})
            else:
                how: Sides = "both" if both else side
                drawn = attempt(lambda found=found, how=how: self._replayed(bench, found, folder, how))  # type: ignore[misc]
            if isinstance(drawn, Failed):
                sides[side] = SideRecord(error=drawn.why)
                continue
            spent = seconds + time.monotonic() - begin
            told = {"budget": found.budget, "price": found.price, "examples": found.examples, "seconds": spent}
            sides[side] = drawn.model_copy(update=told)
        return AttackRecord(
            member=self.member,
            attack=self.attack,
            samples=self.samples,
            seed=self.seed,
            static=sides["static"],
            adaptive=sides["adaptive"],
            pictures=sum(side.pictures for side in sides.values()),
        )

    def _found(self, bench: Bench, model: Model) -> Found:
        """What the attack finds against `model`. Raises ValueError where a figure of its own is no number."""
        prompts = tuple(prompt.text for prompt in edit_prompts(bench.plan, self.member))
        target = Target(
            plan=bench.plan,
            member=self.member,
            seed=self.seed,
            clean=clean(bench, self.member),
            prompts=prompts,
            base=bench.base,
            count=self.samples,
            steps=bench.steps,
        )
        found = attacks.ATTACKS[self.attack].run(target, model, bench.budget)
        for name, value in {"price": found.price, **found.budget}.items():
            if isinstance(value, float) and not isfinite(value):
                raise ValueError(f"the attack's {name} is no number ({value})")
        return found

    def _samples(self, found: Found) -> list[Sample]:
        prompts = found.prompts or ("",) * self.samples
        return [*map(Sample, prompts, seeds(self.attack, self.member, self.seed, len(prompts)))]

    def _sampled(
        self, bench: Bench, made: Mapping[Literal["static", "adaptive"], tuple[Found, float]], folder: Path
    ) -> dict[str, SideRecord]:
        """The sides of an attack that samples by itself: what it arrived at with the edited model, beside what it
        arrived at with the base; nothing of it is replayed.
        """
        sides: dict[str, SideRecord] = {side: SideRecord(seconds=seconds) for side, (_, seconds) in made.items()}
        if "adaptive" in made:
            found, spent = made["adaptive"]
            theirs = made["static"][0] if "static" in made else None
            begin = time.monotonic()
            drawn = attempt(lambda: self._decoded(bench, found, theirs, folder))
            if isinstance(drawn, Failed):
                return {**sides, "adaptive": SideRecord(error=drawn.why)}
            told = {"budget": found.budget, "price": found.price, "examples": found.examples}
            seconds = spent + time.monotonic() - begin
            sides["adaptive"] = drawn.model_copy(update={**told, "seconds": seconds})
        return sides

    def _decoded(self, bench: Bench, found: Found, theirs: Found | None, folder: Path) -> SideRecord:
        """The pictures of what it arrived at with the edited model, and `theirs` with the base, judged."""
        refuse(bench.plan, found.prompts or (), EvidenceError)
        images, after = self._pictures(bench, bench.edited, found)
        base, before = (None, None) if theirs is None else self._pictures(bench, bench.base, theirs)
        samples, rows, hits = self._samples(found), [], 0
        for i, (sample, judgements) in enumerate(zip(samples, after, strict=True)):
            more: dict[str, Any] = {"form": found.forms[i]} if found.forms else {}
            if before is not None and base is not None:
                more["base"] = before[i]
                if presence(judgements, bench.panel.classes[self.member]).shows and hits < KEPT:
                    more["files"], hits = kept(folder, f"adaptive-{i:03d}", base[i], images[i]), hits + 1
            rows.append(AttackRow(prompt=sample.prompt, seed=sample.seed, after=judgements, **more))
        return SideRecord(rows=tuple(rows), soft=True, pictures=len(images) + (0 if base is None else len(base)))

    def _pictures(self, bench: Bench, model: Model, found: Found) -> tuple[Tensor, list[dict[str, Judgement]]]:
        if found.latents is None or len(found.latents) != self.samples:
            raise ValueError(f"the attack did not give the {self.samples} latents that were asked for")
        with torch.no_grad(), precision(model, True):
            images = model.decode(found.latents).float()
        return images, bench.judged(images)

    def _replayed(self, bench: Bench, found: Found, folder: Path, how: Sides) -> SideRecord:
        """Draw what the attack found on the edited model, and judge it."""
        refuse(bench.plan, found.prompts or (), EvidenceError)
        samples = self._samples(found)
        states = found.states
        count = len(samples) if states is None else len(states)
        if count != self.samples:
            raise ValueError(f"the attack gave {count} rows where {self.samples} were asked for")
        images = bench.draw(bench.edited, samples, states)
        after = bench.judged(images)
        sought = bench.panel.classes[self.member]
        hits = [i for i, judgements in enumerate(after) if presence(judgements, sought).shows][:KEPT]
        # All of what counts on the base model, too: what an attack brings is held against what it brings of no edit.
        again = hits if how == "static" else list(range(count))
        shown = None if states is None or not again else states.rows(again)
        base = dict(zip(again, bench.draw(bench.base, [samples[i] for i in again], shown), strict=True))
        more: list[dict[str, Any]] = [{} for _ in samples]
        if how != "static":
            for row, judgements in zip(more, bench.judged(torch.stack([base[i] for i in again])), strict=True):
                row["base"] = judgements
        for i in hits:
            more[i]["files"] = kept(folder, f"{how}-{i:03d}", base[i], images[i])
        for row, form in zip(more, found.forms, strict=False):
            row["form"] = form
        rows = tuple(
            AttackRow(prompt=sample.prompt, seed=sample.seed, after=judgements, **rest)
            for sample, judgements, rest in zip(samples, after, more, strict=True)
        )
        return SideRecord(rows=rows, soft=states is not None, pictures=len(samples) + len(again))


def clean(bench: Bench, member: Member) -> Tensor:
    """Latents of the concept as the base draws it, from seeds that no picture of the report has; made once."""
    samples = clean_samples(bench.plan, member)
    if member not in bench.clean:
        bench.clean[member] = bench.latents(bench.base, samples)
    return bench.clean[member]


def _rate(presences: Sequence[Presence]) -> Rate | None:
    """Of those without an error; None where there is none."""
    good = [one.shows for one in presences if not one.error]
    return rate(sum(good), len(good)) if good else None
