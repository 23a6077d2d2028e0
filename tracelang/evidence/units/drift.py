"""How far the edit moves the prediction of every concept, protected ones too: predictions, no picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from tracelang.evidence.bench import Bench, Failed, attempt
from tracelang.evidence.drift import drift
from tracelang.evidence.pictures import roles
from tracelang.evidence.schema import Frozen
from tracelang.evidence.units.unit import Record, Unit, Wanted
from tracelang.plan.types import Member
from tracelang.semantics.tables import DEFAULT_SEED

PATHS = 32
"""At most so many trajectories of one unit, as far as one concept does not need more."""
DRIFTS = 4
"""Trajectories of a concept whose drift nobody asserts."""


class DriftRow(Frozen):
    """The drift of a member, or the error that kept it from any."""

    member: Member
    value: float | None = None
    error: str = ""


class DriftRecord(Record):
    samples: int
    seed: int
    rows: tuple[DriftRow, ...]

    def drifts(self) -> dict[tuple[Member, int, int], float | Failed]:
        """By member, samples and seed."""
        return {
            (row.member, self.samples, self.seed): Failed(row.error) if row.value is None else row.value
            for row in self.rows
        }


@dataclass(frozen=True)
class DriftUnit(Unit):
    group: tuple[Member, ...]
    samples: int
    seed: int

    kind = "drift"
    title = "drift"
    record = DriftRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[DriftUnit]:
        asserted = [one for one in wanted.plan.expect if one.metric == "drift"]
        asked = {(member, one.samples, one.seed): None for one in asserted for member in one.concepts}
        known = {member for member, _, _ in asked}
        others = [member for member in roles(wanted.plan) if member not in known] if wanted.samples else []
        asked |= {(member, min(wanted.samples, DRIFTS), DEFAULT_SEED): None for member in others}
        alike: dict[tuple[int, int], list[Member]] = {}
        for member, n, seed in asked:
            alike.setdefault((n, seed), []).append(member)
        groups = [
            (group, n, seed) for (n, seed), members in alike.items() for group in _groups(members, max(1, PATHS // n))
        ]
        for i, (group, n, seed) in enumerate(groups):
            yield cls(f"drift-{i:04d}", group, n, seed)

    def done(self, bench: Bench, folder: Path) -> DriftRecord:
        rows = tuple(
            DriftRow(member=member, error=moved.why)
            if isinstance(moved, Failed)
            else DriftRow(member=member, value=moved)
            for member, moved in zip(self.group, self._drifts(bench, self.group), strict=True)
        )
        errors = tuple(f"{' & '.join(row.member)}: {row.error}" for row in rows if row.error)
        return DriftRecord(samples=self.samples, seed=self.seed, rows=rows, errors=errors)

    def _drifts(self, bench: Bench, group: Sequence[Member]) -> list[float | Failed]:
        """The drift of each; where they fail together each is asked alone, so that not all fail for one."""
        found = attempt(lambda: drift(bench.plan, group, bench.base, bench.edited, self.samples, self.seed))
        if isinstance(found, Failed):
            return [found] if len(group) == 1 else [one for member in group for one in self._drifts(bench, [member])]
        return [value if isfinite(value) else Failed("the drift is no number") for value in found]


def _groups(members: Sequence[Member], most: int) -> Iterator[tuple[Member, ...]]:
    for begin in range(0, len(members), most):
        yield tuple(members[begin : begin + most])
