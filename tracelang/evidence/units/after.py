"""What an expectation asks of weights that were changed after the edit: pictures and attacks on a copy of the edited
model, rounded or merged (docs/methods.md §5.9). The base's side is that of the unchanged edit, drawn there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, attempt
from tracelang.evidence.pictures import Sample, drawable, rows_of, samples_of
from tracelang.evidence.rounding import merged, rounded
from tracelang.evidence.units.attack import AttackRecord, AttackUnit
from tracelang.evidence.units.degree import DegreeRow
from tracelang.evidence.units.shots import batches
from tracelang.models.protocol import Model
from tracelang.plan.types import After
from tracelang.semantics.tables import METRICS


def model_after(bench: Bench, after: After) -> Model:
    """A copy of the edited model as the expectation wants its weights."""
    if after.how == "round":
        return rounded(bench.edited, after.to)
    assert after.share is not None
    return merged(bench.base, bench.edited, after.share)


def name(after: After) -> str:
    """As part of a unit's key."""
    return after.to if after.how == "round" else f"{after.how}-{100 * (after.share or 0):g}"


class AfterRecord(Record):
    after: After
    rows: tuple[DegreeRow, ...] = ()


@dataclass(frozen=True)
class AfterUnit(Unit):
    after: After
    samples: tuple[Sample, ...]

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
                yield cls(key, after, tuple(part))

    def done(self, bench: Bench, folder: Path) -> AfterRecord:
        found = attempt(lambda: bench.judged(bench.draw(model_after(bench, self.after), self.samples)))
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
            yield cls(key, after, replace(attack, key=key))

    def done(self, bench: Bench, folder: Path) -> AfterAttackRecord:
        made = self.attack.done(replace(bench, edited=model_after(bench, self.after), others={}), folder)
        return AfterAttackRecord(after=self.after, attack=made, pictures=made.pictures)
