"""Pictures of the edit's weights scaled to a degree: a dial between the base (0) and the edit (1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tracelang.evidence.bench import Bench, Judgements, Record, SampleRow, Unit, Wanted
from tracelang.evidence.pictures import Sample, degree_samples
from tracelang.evidence.units.shots import batches
from tracelang.models.protocol import Model

DEGREES = (0.25, 0.5, 0.75)
"""Those of the base and of the edit are drawn anyway."""


class DegreeRow(SampleRow):
    after: Judgements


class DegreeRecord(Record):
    degree: float
    rows: tuple[DegreeRow, ...]


@dataclass(frozen=True)
class DegreeUnit(Unit):
    samples: tuple[Sample, ...]
    degree: float

    kind = "degree"
    title = "degrees"
    record = DegreeRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[DegreeUnit]:
        found = degree_samples(wanted.plan, wanted.rows)
        judged = {sample: None for sample, members in found.items() if any(one in wanted.judged for one in members)}
        for degree in DEGREES if wanted.samples else ():
            for key, part in batches(f"degree-{100 * degree:.0f}", judged):
                yield cls(key, tuple(part), degree)

    def done(self, bench: Bench, folder: Path) -> DegreeRecord:
        with at_degree(bench.base, bench.edited, self.degree) as model:
            judgements = bench.judged(bench.draw(model, self.samples))
        rows = tuple(
            DegreeRow(prompt=sample.prompt, seed=sample.seed, after=after)
            for sample, after in zip(self.samples, judgements, strict=True)
        )
        return DegreeRecord(degree=self.degree, rows=rows, pictures=len(rows))


@contextmanager
def at_degree(base: Model, edited: Model, degree: float) -> Iterator[Model]:
    """The edited model with weights `base + degree · (edited − base)`, afterwards what it was."""
    before: dict[str, Tensor] = {}
    try:
        for site in edited.sites:
            old, new = base.weight(site).data, edited.weight(site).data
            if not torch.equal(old, new):
                before[site.tensor] = new.clone()
                wide = torch.promote_types(new.dtype, torch.float32)
                new.copy_(old.to(wide) + degree * (new.to(wide) - old.to(wide)))
        yield edited
    finally:
        for site in edited.sites:
            if site.tensor in before:
                edited.weight(site).data.copy_(before[site.tensor])
