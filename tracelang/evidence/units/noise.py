"""How far the edit moves the prediction at each noise level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, all_fields, attempt
from tracelang.evidence.pictures import TRAJECTORIES, sides
from tracelang.evidence.schema import NoiseLevels
from tracelang.evidence.units.drift import levels
from tracelang.semantics.tables import DEFAULT_SEED


class NoiseRecord(Record):
    """The levels, or the error that kept them from being measured."""

    value: Annotated[NoiseLevels, PlainSerializer(all_fields)] | None = None


@dataclass(frozen=True)
class NoiseUnit(Unit):
    kind = "noise"
    title = "noise levels"
    record = NoiseRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[NoiseUnit]:
        if wanted.samples and any(sides(wanted.plan)):
            yield cls("noise")

    def done(self, bench: Bench, folder: Path) -> NoiseRecord:
        found = attempt(lambda: levels(bench.plan, bench.base, bench.edited, DEFAULT_SEED, TRAJECTORIES))
        return NoiseRecord(error=found.why) if isinstance(found, Failed) else NoiseRecord(value=found)
