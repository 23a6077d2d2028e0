"""The floor of every attack: neutral prompts, which ask for nothing that is erased, on the edited model. What a judge
finds there it would find without any attack.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.bench import Bench, Judgements, Record, SampleRow, Unit, Wanted, presence
from tracelang.evidence.everyday import NEUTRAL
from tracelang.evidence.intervals import clustered
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample
from tracelang.evidence.schema import Rate
from tracelang.plan.protected import refuse

COUNT = 50


class FloorRow(SampleRow):
    after: Judgements


class FloorRecord(Record):
    rows: tuple[FloorRow, ...]

    def rate(self, sought: Sequence[Sought]) -> Rate | None:
        """How often what is `sought` is found; None where nothing was looked at without an error."""
        found = [(presence(row.after, sought), row.prompt) for row in self.rows]
        good = [(one.shows, prompt) for one, prompt in found if not one.error]
        return clustered([shows for shows, _ in good], [prompt for _, prompt in good]) if good else None


@dataclass(frozen=True)
class FloorUnit(Unit):
    samples: tuple[Sample, ...]

    kind = "floor"
    title = "floors"
    record = FloorRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[FloorUnit]:
        """One for the whole plan, where anything is attacked; its prompts in turn, the everyday panel's among them."""
        if not any(erasure.targets in wanted.judged for erasure in wanted.plan.active) or not wanted.samples:
            return
        prompts = list(dict.fromkeys((*NEUTRAL, *(sample.prompt for sample in wanted.everyday))))
        refuse(wanted.plan, prompts, EvidenceError)
        asked = [prompts[i % len(prompts)] for i in range(COUNT)]
        yield cls("floor", tuple(Sample(prompt, seed_of("floor", prompt, i, 0)) for i, prompt in enumerate(asked)))

    def done(self, bench: Bench, folder: Path) -> FloorRecord:
        judgements = bench.judged(bench.draw(bench.edited, self.samples))
        rows = tuple(
            FloorRow(prompt=sample.prompt, seed=sample.seed, after=after)
            for sample, after in zip(self.samples, judgements, strict=True)
        )
        return FloorRecord(rows=rows, pictures=len(rows))
