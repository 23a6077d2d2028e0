"""What an expectation asks of weights that were changed after the edit: pictures and attacks on a copy of the edited
model, rounded, merged, or with an adapter of others added (docs/methods.md §5.9). The base's side is that of the
unchanged edit, drawn there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracelang.engine.low_rank import LowRank
from tracelang.engine.seeds import seed
from tracelang.evidence import tuning
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, attempt
from tracelang.evidence.pictures import Sample, drawable, rows_of, samples_of, spread
from tracelang.evidence.rounding import added, merged, rounded
from tracelang.evidence.tuning import Lesson
from tracelang.evidence.units.attack import AttackRecord, AttackUnit, SideRecord
from tracelang.evidence.units.degree import DegreeRow
from tracelang.evidence.units.shots import batches
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.protected import refuse
from tracelang.plan.types import After
from tracelang.semantics.tables import METRICS


def model_after(bench: Bench, after: After, everyday: tuple[Sample, ...]) -> Model:
    """A copy of the edited model as the expectation wants its weights. Raises ValueError where there is no everyday
    thing to train an adapter on.
    """
    if after.how == "round":
        return rounded(bench.edited, after.to)
    assert after.share is not None
    if after.how == "merge":
        return merged(bench.base, bench.edited, after.share)
    return added(bench.edited, adapter(bench, everyday), after.share)


def adapter(bench: Bench, everyday: tuple[Sample, ...]) -> dict[Site, LowRank]:
    """What somebody adds who never heard of the edit: trained once, on the base with its own everyday pictures, as
    long as a fine-tuning.
    """
    key = "an adapter of everyday things", TAUGHT
    made = bench.made.setdefault((), {})
    if key not in made:
        if not everyday:
            raise ValueError("no everyday prompt is left that an adapter could be trained on")
        refuse(bench.plan, [sample.prompt for sample in everyday], EvidenceError)
        asked = spread([sample.prompt for sample in everyday], TAUGHT, 0)
        samples = [Sample(one.prompt, seed("adapter", one.prompt, i, 0)) for i, one in enumerate(asked)]
        lesson = Lesson(bench.latents(bench.base, samples), tuple(sample.prompt for sample in samples))
        made[key] = tuning.adapter(bench.base, lesson, 0, bench.budget.tuning)
    found = made[key]
    assert isinstance(found, dict)
    return found


def name(after: After) -> str:
    """As part of a unit's key."""
    return after.to if after.how == "round" else f"{after.how}-{100 * (after.share or 0):g}"


TAUGHT = 25
"""Everyday pictures that an adapter is trained on."""


class AfterRecord(Record):
    after: After
    rows: tuple[DegreeRow, ...] = ()


@dataclass(frozen=True)
class AfterUnit(Unit):
    """`everyday`: what an adapter is trained on."""

    after: After
    samples: tuple[Sample, ...]
    everyday: tuple[Sample, ...] = ()

    kind = "after"
    title = "changed weights"
    record = AfterRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[AfterUnit]:
        asked: dict[After, dict[Sample, None]] = {}
        for one in wanted.plan.expect:
            if one.after is not None and not one.attack:
                samples = asked.setdefault(one.after, {})
                for row in rows_of(wanted.plan, one):
                    if row.member in wanted.judged or not METRICS[one.metric].judged:
                        samples |= dict.fromkeys(samples_of(wanted.plan, row))
        for after, samples in asked.items():
            for key, part in batches(f"after-{name(after)}", samples):
                yield cls(key, after, tuple(part), tuple(wanted.everyday))

    def done(self, bench: Bench, folder: Path) -> AfterRecord:
        found = attempt(lambda: bench.judged(bench.draw(model_after(bench, self.after, self.everyday), self.samples)))
        if isinstance(found, Failed):
            return AfterRecord(after=self.after, error=found.why)
        rows = tuple(
            DegreeRow(prompt=sample.prompt, seed=sample.seed, after=judgements)
            for sample, judgements in zip(self.samples, found, strict=True)
        )
        return AfterRecord(after=self.after, rows=rows, pictures=len(rows))


class AfterAttackRecord(Record):
    after: After
    attack: AttackRecord


@dataclass(frozen=True)
class AfterAttackUnit(Unit):
    after: After
    attack: AttackUnit
    everyday: tuple[Sample, ...] = ()

    kind = "after-attack"
    title = "attacks on changed weights"
    record = AfterAttackRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[AfterAttackUnit]:
        asked: dict[tuple[After, AttackUnit], None] = {}
        for one in wanted.plan.expect:
            if one.after is not None and one.attack:
                for member in one.concepts:
                    if member in wanted.judged and drawable(wanted.plan, member):
                        asked[one.after, AttackUnit("", member, one.attack, one.samples, one.seed)] = None
        for i, (after, attack) in enumerate(asked):
            key = f"after-{name(after)}-{i:04d}-{attack.attack}"
            yield cls(key, after, replace(attack, key=key), tuple(wanted.everyday))

    def done(self, bench: Bench, folder: Path) -> AfterAttackRecord:
        edited = attempt(lambda: model_after(bench, self.after, self.everyday))
        if isinstance(edited, Failed):
            failed = SideRecord(error=edited.why)
            asked: dict[str, Any] = {"member": self.attack.member, "attack": self.attack.attack}
            asked |= {"samples": self.attack.samples, "seed": self.attack.seed}
            return AfterAttackRecord(after=self.after, attack=AttackRecord(**asked, static=failed, adaptive=failed))
        made = self.attack.done(replace(bench, edited=edited, others={}), folder)
        return AfterAttackRecord(after=self.after, attack=made, pictures=made.pictures)
