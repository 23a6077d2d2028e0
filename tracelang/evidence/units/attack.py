"""An attack on an erased concept: made against the base model and replayed, and made against the edited one itself."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
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
from tracelang.evidence.attacks.attack import EXAMPLES, seeds
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
from tracelang.evidence.intervals import clustered
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample, attacked, clean_samples
from tracelang.evidence.schema import Frozen, Rate
from tracelang.evidence.shelf import Held
from tracelang.evidence.verdicts import rate
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Member

KEPT = 5
"""At most so many pairs of pictures of a side are kept."""

Sides = Literal["static", "adaptive", "both"]


class AttackRow(SampleRow):
    """A picture that the attack brought. `base`: of the same prompt or states and seed, or what the same attack arrived
    at with the base. `form`: the kind of wording, where the attack has kinds.
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
    def groups(self) -> tuple[Hashable, ...]:
        """Of each row what it shares with others: its prompt. Soft rows share what was learned, and no number of
        pictures says how far that would come out otherwise.
        """
        return tuple(i if self.soft else row.sample.prompt for i, row in enumerate(self.rows))

    @property
    def rate(self) -> Rate | None:
        return _rate([row.after for row in self.rows], self.groups)

    @property
    def ceiling(self) -> Rate | None:
        """What the same prompts or states bring on the base model."""
        found = [(row.base, group) for row, group in zip(self.rows, self.groups, strict=True) if row.base is not None]
        return _rate([base for base, _ in found], [group for _, group in found])

    @property
    def prompts(self) -> Rate | None:
        """Of the distinct prompts, those that brought it back at least once; None for soft states."""
        found: dict[str, bool] = {}
        for row in () if self.soft else self.rows:
            if not row.after.error:
                found[row.sample.prompt] = found.get(row.sample.prompt, False) or row.after.shows
        return rate(sum(found.values()), len(found)) if found else None

    @property
    def tried(self) -> tuple[str, ...]:
        """A few of its prompts: those that brought the concept back, the oftenest first, then those of its own choice
        that did not.
        """
        if self.soft:
            return self.examples
        hits: dict[str, int] = {}
        for row in self.rows:
            if not row.after.error:
                hits[row.sample.prompt] = hits.get(row.sample.prompt, 0) + row.after.shows
        worked = sorted((prompt for prompt, count in hits.items() if count), key=lambda prompt: -hits[prompt])
        others = [prompt for prompt in self.examples if hits.get(prompt) == 0]
        return tuple([*worked, *others][: max(EXAMPLES, len(self.examples))])

    @property
    def forms(self) -> tuple[tuple[str, Rate], ...]:
        """By form of wording, or prompt where there are no forms; by what is best shown to bring the concept back."""
        found: dict[str, tuple[list[bool], list[str]]] = {}
        for row in self.rows:
            if not row.after.error and row.form:
                shows, prompts = found.setdefault(row.form, ([], []))
                shows.append(row.after.shows)
                prompts.append(row.sample.prompt)
        rates = [
            (form, clustered(shows, prompts) if self.by_form else rate(sum(shows), len(shows)))
            for form, (shows, prompts) in found.items()
        ]
        return tuple(sorted(rates, key=lambda one: (one[1].low, one[1].share, one[1].n), reverse=True))

    @property
    def worst(self) -> tuple[str, Rate] | None:
        """The first of the forms; None where there is but one."""
        return self.forms[0] if len(self.forms) > 1 else None


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

    @property
    def unedited(self) -> tuple[Presence, ...]:
        """What it brings where there is no edit: made against the base model and drawn with it."""
        rows = self.static.rows or self.adaptive.rows  # what samples by itself has the base's beside its own
        return tuple(row.base for row in rows if row.base is not None)


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
        return search(bench, self.member, self.attack, self.samples, self.seed, model)

    def _samples(self, found: Found) -> list[Sample]:
        return samples_of(found, self.member, self.attack, self.samples, self.seed)

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
        images, after = judged(bench, bench.edited, found, self._samples(found))
        base, before = (None, None) if theirs is None else judged(bench, bench.base, theirs, self._samples(theirs))
        samples, rows, hits = self._samples(found), [], 0
        for i, (sample, judgements) in enumerate(zip(samples, after, strict=True)):
            more: dict[str, Any] = {"form": found.forms[i]} if found.forms else {}
            if before is not None and base is not None:
                more["base"] = before[i]
                if presence(judgements, bench.panel.classes[self.member]).shows and hits < KEPT:
                    more["files"], hits = kept(folder, f"adaptive-{i:03d}", base[i], images[i]), hits + 1
            rows.append(AttackRow(prompt=sample.prompt, seed=sample.seed, after=judgements, **more))
        return SideRecord(rows=tuple(rows), soft=True, pictures=len(images) + (0 if base is None else len(base)))

    def _replayed(self, bench: Bench, found: Found, folder: Path, how: Sides) -> SideRecord:
        """Draw what the attack found on the edited model and on the base, and judge both: what an attack brings is held
        against what it brings of no edit.
        """
        samples = self._samples(found)
        images, after = judged(bench, bench.edited, found, samples)
        again, before = judged(bench, bench.base, found, samples)
        sought = bench.panel.classes[self.member]
        hits = [i for i, judgements in enumerate(after) if presence(judgements, sought).shows][:KEPT]
        more: list[dict[str, Any]] = [{} for _ in samples]
        for i in hits:
            more[i]["files"] = kept(folder, f"{how}-{i:03d}", again[i], images[i])
        for row, form in zip(more, found.forms, strict=False):
            row["form"] = form
        rows = tuple(
            AttackRow(prompt=sample.prompt, seed=sample.seed, after=after[i], base=before[i], **more[i])
            for i, sample in enumerate(samples)
        )
        return SideRecord(rows=rows, soft=found.states is not None, pictures=2 * len(samples))


def search(bench: Bench, member: Member, attack: str, samples: int, seed: int, model: Model) -> Found:
    """What the attack finds against `model`: `samples` rows. Raises ValueError where it gives another number of them,
    or a figure of its own is no number, and what the attack raises.
    """
    target = Target(
        plan=bench.plan,
        member=member,
        seed=seed,
        clean=clean(bench, member),
        prompts=tuple(prompt.text for prompt in edit_prompts(bench.plan, member)),
        base=bench.base,
        count=samples,
        steps=bench.steps,
        made=bench.made.setdefault(member, {}),
    )
    asked = [*bench.plainly, list(member), attack, samples, seed]
    tensors, told = bench.once(
        bench.shared(model, "attack", asked), lambda: _to_held(attacks.ATTACKS[attack].run(target, model, bench.budget))
    )
    found = _of_held(tensors, told, model)
    for name, value in {"price": found.price, **found.budget}.items():
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"the attack's {name} is no number ({value})")
    given = [len(part) for part in (found.prompts, found.states, found.latents) if part is not None]
    if not given or set(given) != {samples}:
        raise ValueError(f"the attack gave {given or 'no'} rows where {samples} were asked for")
    return found


def _to_held(found: Found) -> Held:
    states = {} if found.states is None else {f"states {name}": one for name, one in found.states.inputs.items()}
    latents = {} if found.latents is None else {"latents": found.latents}
    told = {name: getattr(found, name) for name in ("prompts", "budget", "price", "examples", "forms")}
    return {**states, **latents}, told


def _of_held(tensors: Mapping[str, Tensor], told: Mapping[str, Any], model: Model) -> Found:
    on = {name: tensor.to(model.device) for name, tensor in tensors.items()}
    states = {name.removeprefix("states "): one for name, one in on.items() if name != "latents"}
    return Found(
        None if told["prompts"] is None else tuple(told["prompts"]),
        TextStates(states) if states else None,
        told["budget"],
        told["price"],
        tuple(told["examples"]),
        tuple(told["forms"]),
        on.get("latents"),
    )


def samples_of(found: Found, member: Member, attack: str, samples: int, seed: int) -> list[Sample]:
    """The pictures of what was found: their seeds are the same whatever model it was found against."""
    return [*map(Sample, found.prompts or ("",) * samples, seeds(attack, member, seed, samples))]


def judged(
    bench: Bench, model: Model, found: Found, samples: Sequence[Sample]
) -> tuple[Tensor, list[dict[str, Judgement]]]:
    """The pictures that `model` draws of what was found, or that the attack arrived at with it, and what is in them.

    Raises EvidenceError for a prompt that speaks of what is protected.
    """
    refuse(bench.plan, found.prompts or (), EvidenceError)
    if found.latents is None:
        images = bench.draw(model, samples, found.states)
    else:
        with torch.no_grad(), precision(model, True):
            images = model.decode(found.latents).float()
    return images, bench.judged(images)


def clean(bench: Bench, member: Member) -> Tensor:
    """Latents of the concept as the base draws it, from seeds that no picture of the report has; made once."""
    samples = clean_samples(bench.plan, member)
    if member not in bench.clean:
        bench.clean[member] = bench.latents(bench.base, samples)
    return bench.clean[member]


def _rate(presences: Sequence[Presence], groups: Sequence[Hashable]) -> Rate | None:
    """Of those without an error; None where there is none."""
    good = [(one.shows, group) for one, group in zip(presences, groups, strict=True) if not one.error]
    return clustered([shows for shows, _ in good], [group for _, group in good]) if good else None
