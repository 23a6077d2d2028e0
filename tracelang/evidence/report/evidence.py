"""The records of all units, read: what counting, remarks and pictures of a report look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tracelang.evidence.bench import Failed, Judgements, Record, select
from tracelang.evidence.metrics.metric import Drawn, Measured, Pair
from tracelang.evidence.pictures import Row, Sample, main_row, rows
from tracelang.evidence.schema import Certificate, Integrity, NoiseLevels
from tracelang.evidence.units.attack import AttackRecord, AttackResult
from tracelang.evidence.units.certificate import CertificateRecord
from tracelang.evidence.units.degree import DegreeRecord
from tracelang.evidence.units.drift import DriftRecord
from tracelang.evidence.units.everyday import EverydayRecord, integrity
from tracelang.evidence.units.noise import NoiseRecord
from tracelang.evidence.units.shots import ShotsRecord
from tracelang.evidence.work import Run
from tracelang.plan.types import Member, Plan


@dataclass(frozen=True)
class Evidence:
    """What one run found out about a plan."""

    plan: Plan
    run: Run
    measured: Measured
    attacked: tuple[AttackResult, ...]
    at_degree: Mapping[float, Mapping[Sample, Judgements]]
    noise: NoiseLevels | None
    certificate: Certificate | Failed | None
    everyday: EverydayRecord | None
    failures: tuple[str, ...]

    @staticmethod
    def of(plan: Plan, run: Run, records: Mapping[str, Record]) -> Evidence:
        """What the records of all units, by their keys, say together."""
        shots = select(records, ShotsRecord)
        pictures = {
            row.sample: Drawn(row.base, row.after, row.clip, row.files, key)
            for key, record in shots.items()
            for row in record.rows
        }
        features = {sample: pair for record in shots.values() for sample, pair in record.pairs_of_features().items()}
        made = [record.features for record in shots.values() if record.features and not record.features.error]
        extractor = made[-1].extractor if made else ""
        at_degree: dict[float, dict[Sample, Judgements]] = {}
        for scaled in select(records, DegreeRecord).values():
            at_degree.setdefault(scaled.degree, {}).update({row.sample: row.after for row in scaled.rows})
        attacked = tuple(
            record.result(key, run.classes[record.member]) for key, record in select(records, AttackRecord).items()
        )
        drifts = {
            asked: moved for record in select(records, DriftRecord).values() for asked, moved in record.drifts().items()
        }
        noise = next((record.value for record in select(records, NoiseRecord).values()), None)
        certificate = next((record.certificate for record in select(records, CertificateRecord).values()), None)
        everyday = next(iter(select(records, EverydayRecord).values()), None)
        failures = tuple(f"{key}: {line}" for key, record in records.items() for line in record.failures)
        attacks = {(one.member, one.attack, one.samples, one.seed): one.adaptive for one in attacked}
        measured = Measured(plan, run.classes, run.unknown, pictures, attacks, drifts, certificate, features, extractor)
        return Evidence(
            plan,
            run,
            measured,
            attacked,
            at_degree,
            noise,
            certificate,
            everyday,
            failures,
        )

    @cached_property
    def every(self) -> tuple[Row, ...]:
        """Every row of pictures."""
        return rows(self.plan, self.run.classes, self.run.facts["samples"])

    def row(self, member: Member, how: Literal["names", "probes"] = "names") -> list[Pair]:
        """The pictures of the row that stands for the member, those with an error too."""
        row = main_row(self.plan, self.every, member, how)
        return self.measured.pairs(row) if row is not None else []

    def at(self, degree: float, sample: Sample) -> Judgements | None:
        """The judgements of a sample at a degree, 0 being the base and 1 the edit; None where it was not drawn."""
        if degree not in (0, 1):
            return self.at_degree.get(degree, {}).get(sample)
        drawn = self.measured.pictures.get(sample)
        return None if drawn is None else drawn.after if degree else drawn.base

    def integrity(self) -> Integrity:
        """What the everyday panel says."""
        record = self.everyday
        return integrity(()) if record is None else integrity([r.pair for r in record.rows], record.apart, record.by)

    def judgements(self) -> Iterator[tuple[str, Judgements]]:
        """Every judgement there was, with what was looked at."""
        for sample, drawn in self.measured.pictures.items():
            for name, judgements in (("base", drawn.base), ("edited", drawn.after)):
                yield f"{name}, {sample.prompt!r}, seed {sample.seed}", judgements
        for degree, seen in self.at_degree.items():
            for sample, judgements in seen.items():
                yield f"degree {degree:.0%}, {sample.prompt!r}, seed {sample.seed}", judgements
        for one in self.attacked:
            for side in (one.static, one.adaptive):
                for row in side.rows:
                    yield f"attack {one.attack}, {row.sample.prompt!r}, seed {row.sample.seed}", row.judged
                for row in side.rows:
                    if row.base_judged is not None:
                        where = f"{row.sample.prompt!r}, seed {row.sample.seed}"
                        yield f"attack {one.attack} on the base, {where}", row.base_judged
        for shown in self.everyday.rows if self.everyday else ():
            for when, judgements in (("base", shown.base), ("after", shown.after)):
                yield f"everyday {when}, {shown.prompt!r}, seed {shown.seed}", judgements
