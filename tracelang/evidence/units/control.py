"""The probes of what is erased, on models that never knew it and on one that has learned nothing: the same targets,
prompts, seeds and budgets as on the edited model. One unit is one probe of one concept on one control.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.attacks import Inapplicable
from tracelang.evidence.bench import (
    Bench,
    Failed,
    Judgements,
    Presence,
    Record,
    SampleRow,
    Unit,
    Wanted,
    attempt,
    presence,
)
from tracelang.evidence.controls import RANDOM, kind_of
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import How, Row, Sample, attacked, drawable, roles, samples_of
from tracelang.evidence.units import attack as attacking
from tracelang.models.protocol import Model
from tracelang.plan.types import Assertion, Member, Plan, SuiteRow
from tracelang.text import joined

WHICH = {"shown": "named ", "probed": "suggested "}
"""Which prompts of a suite a metric is asked of; all, where it does not say."""
ENOUGH = 96
"""Targets that are tried on a model that has learned nothing, and prompts that a search finds against it: none shown of
73 is at most 5 % (95 % Wilson), and of 96 that share some prompts.
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """A way to look for one concept: `names`, `probes`, an attack, or a suite's prompts, of which `how` says whose
    they are.
    """

    member: Member
    how: str
    samples: int
    seed: int
    given: tuple[SuiteRow, ...] = field(default=(), compare=False, repr=False)

    @property
    def name(self) -> str:
        """Its kind, as a file may be called."""
        return "suite" if self.given else self.how

    @property
    def row(self) -> Row | None:
        """The pictures that it looks at; None of an attack."""
        if self.given:
            return Row(self.member, "suite", self.samples, self.seed, self.given)
        how: How | None = "names" if self.how == "names" else "probes" if self.how == "probes" else None
        return None if how is None else Row(self.member, how, self.samples, self.seed)


def probes(wanted: Wanted) -> Iterator[Probe]:
    """Every probe of what is erased and that a judge knows, in a fixed order."""
    role = roles(wanted.plan)
    for row in wanted.rows:
        if role.get(row.member) == "erased" and row.member in wanted.judged and row.how != "suite":
            yield Probe(row.member, row.how, row.samples, row.seed)
    for member, attack, samples, seed in attacked(wanted.plan, wanted.attacks, wanted.samples):
        if member in wanted.judged:
            yield Probe(member, attack, samples, seed)
    for probe in suited(wanted.plan):
        if role.get(probe.member) == "erased" and probe.member in wanted.judged and drawable(wanted.plan, probe.member):
            yield probe


def suited(plan: Plan) -> list[Probe]:
    """What the plan asks of suites' prompts, each once."""
    return list(dict.fromkeys(suite_probe(one, member) for one in plan.expect if one.suite for member in one.concepts))


def suite_probe(one: Assertion, member: Member) -> Probe:
    """The probe of an expectation about a suite's prompts: those that it is asked of, by what they do."""
    assert one.suite is not None
    what = WHICH.get(one.metric, "")
    return Probe(member, f"{what}{one.on}", one.samples, one.seed, one.suite.of(member[0]))


class ControlRow(SampleRow):
    after: Judgements


class ControlRecord(Record):
    """`samples` are those of the probe; of a model that has learned nothing more are drawn, see `rows`."""

    control: str
    member: Member
    how: str
    samples: int
    seed: int
    rows: tuple[ControlRow, ...] = ()
    budget: dict[str, int | float | str] = {}
    inapplicable: str = ""

    def side(self, sought: Sequence[Sought]) -> ControlSide:
        """What it says of its member, which is `sought`."""
        found = tuple(presence(row.after, sought) for row in self.rows)
        bad = [one.error for one in found if one.error]
        error = self.error or (f"{len(bad)} of {len(found)} pictures have an error: {bad[0]}" if bad else "")
        return ControlSide(found, error or self.inapplicable, tuple(row.prompt for row in self.rows))


@dataclass(frozen=True, slots=True)
class ControlSide:
    """What a probe showed on one control, target by target, under which `prompts`; with a `reason`, why that says
    nothing.
    """

    rows: tuple[Presence, ...]
    reason: str = ""
    prompts: tuple[str, ...] = ()

    @property
    def shows(self) -> tuple[bool, ...]:
        return tuple(one.shows for one in self.rows)


@dataclass(frozen=True)
class ControlUnit(Unit):
    probe: Probe

    kind = "control"
    title = "controls"
    record = ControlRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[ControlUnit]:
        every = tuple(probes(wanted))
        for control in wanted.controls:
            for i, probe in enumerate(every):
                yield cls(f"control-{control}-{i:04d}-{probe.name}", probe, control=control)

    def done(self, bench: Bench, folder: Path) -> ControlRecord:
        said: dict[str, Any] = {"control": self.control, "member": self.probe.member, "how": self.probe.how}
        said |= {"samples": self.probe.samples, "seed": self.probe.seed}
        model = bench.model(self.control)
        try:
            found = attempt(lambda: self._probed(bench, model), Inapplicable)
        except Inapplicable as why:
            return ControlRecord(**said, inapplicable=str(why))
        if isinstance(found, Failed):
            what = f"{self.probe.how} of {joined(self.probe.member)} on the control {self.control}"
            return ControlRecord(**said, error=f"{what}: {found.why}")
        return ControlRecord(**said, **found, pictures=len(found["rows"]))

    def _probed(self, bench: Bench, model: Model) -> dict[str, Any]:
        probe = self.probe
        if kind_of(self.control) == RANDOM:
            probe = replace(probe, samples=max(probe.samples, ENOUGH))
            bench = replace(bench, budget=replace(bench.budget, rows=max(bench.budget.rows, ENOUGH)))
        if probe.row is not None:
            samples: Sequence[Sample] = samples_of(bench.plan, probe.row)
            if kind_of(self.control) == RANDOM and probe.given:
                samples = repeated(samples, ENOUGH, probe.seed)
            told: dict[str, Any] = {}
            judgements = bench.judged(bench.draw(model, samples))
        else:
            asked = probe.member, probe.how, probe.samples, probe.seed
            found = attacking.search(bench, *asked, model)
            samples, told = attacking.samples_of(found, *asked), {"budget": found.budget}
            _, judgements = attacking.judged(bench, model, found, samples)
        rows = tuple(
            ControlRow(prompt=sample.prompt, seed=sample.seed, after=after)
            for sample, after in zip(samples, judgements, strict=True)
        )
        return {"rows": rows, **told}


def repeated(samples: Sequence[Sample], least: int, base: int) -> list[Sample]:
    """At least so many, by the same prompts under further seeds where a suite has too few."""
    rounds = -(-least // len(samples)) if samples else 0
    more = (
        Sample(one.prompt, seed_of("suite again", one.prompt, i, base)) for i in range(1, rounds) for one in samples
    )
    return [*samples, *more][: max(least, len(samples))]
