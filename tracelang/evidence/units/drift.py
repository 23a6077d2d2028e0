"""How far the edit moves the prediction of every concept, along the frozen model's own trajectories under noise that no
training saw.

No picture is decoded. Of a `protected` concept there is none: its words are given to no denoiser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from tracelang.engine.batches import batches
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.rollout import Start, predictions, record
from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, attempt
from tracelang.evidence.pictures import DRIFTS, dealt, drifted, sides
from tracelang.evidence.schema import Frozen, NoiseLevels, Spread
from tracelang.evidence.verdicts import spread
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Member, Plan
from tracelang.text import joined

STEPS = 20
"""Sampler steps of a trajectory: as many noise levels."""
CHUNK = 32
"""Trajectories in memory at a time."""


def drift(
    plan: Plan, members: Sequence[Member], base: Model, edited: Model, samples: int, seed: int
) -> list[tuple[float, ...]]:
    """Of each member, for each of `samples` trajectories dealt over its prompts, the mean of
    `‖pred' − pred°‖ / ‖pred°‖` over all steps. The members' trajectories share batches.

    Raises `EngineError` where a prediction is not finite, or a prompt speaks of what is protected; ValueError for no
    samples.
    """
    asked = [one for member in members for one in _asked(plan, [member], samples, seed)]
    means = _moved(base, edited, asked).mean(1).view(len(members), -1).tolist()
    return [tuple(one) for one in means]


def levels(plan: Plan, base: Model, edited: Model, seed: int, n: int) -> NoiseLevels:
    """The same at each noise level, noisiest first: `n` trajectories dealt over the erased members, `n` over the
    preserved ones. A side without members is empty.
    """
    erased, preserved = (
        tuple(_moved(base, edited, _asked(plan, members, n, seed)).mean(0).tolist()) if members else ()
        for members in sides(plan)
    )
    logsnr = tuple(base.clock.logsnr(float(time)) for time in base.clock.times(STEPS))
    return NoiseLevels(logsnr=logsnr, erased=erased, preserved=preserved)


def relative(moved: Tensor, whole: Tensor) -> Tensor:
    """`‖moved‖ / ‖whole‖` of each trajectory at each step `[n, S]`, both `[n, S, …]`."""
    shares: Tensor = moved.flatten(2).norm(dim=2) / whole.flatten(2).norm(dim=2)
    return shares


@dataclass(frozen=True, slots=True)
class _Asked:
    """One trajectory's start, and the prompt that predictions are asked for on it."""

    start: Start
    prompt: str


def _asked(plan: Plan, members: Sequence[Member], n: int, seed: int) -> list[_Asked]:
    """`n` trajectories dealt in turn over the members, and inside each over its prompts."""
    if n < 1:
        raise ValueError("drift: no trajectory was asked for")
    for member in members:
        refuse(plan, [prompt.text for prompt in edit_prompts(plan, member)], EngineError)
    return [
        _Asked(Start(prompt, None, seed_of("drift", prompt, visit, seed)), prompt)
        for _, prompt, visit in dealt(plan, members, n)
    ]


def _moved(base: Model, edited: Model, asked: Sequence[_Asked]) -> Tensor:
    """The relative change of the prediction of each trajectory at each step `[n, S]`."""
    found = []
    for part in batches(asked, CHUNK):
        paths = record(base, [one.start for one in part], STEPS, base.guidance)
        prompts = [one.prompt for one in part]
        before = predictions(base, paths, prompts)  # in the batches of the edited model: no edit, not a bit of drift
        moved = exact(predictions(edited, paths, prompts)) - exact(before)
        found.append(relative(moved, exact(before)))
    return torch.cat(found)


PATHS = 32
"""At most so many trajectories of one unit, as far as one concept does not need more."""


class DriftRow(Frozen):
    """The drift of a member along each trajectory, or the error that kept it from any."""

    member: Member
    values: tuple[float, ...] = ()
    error: str = ""


class DriftRecord(Record):
    samples: int
    seed: int
    rows: tuple[DriftRow, ...]

    def drifts(self) -> dict[tuple[Member, int, int], Spread | Failed]:
        """By member, samples and seed."""
        return {
            (row.member, self.samples, self.seed): spread(row.values) if row.values else Failed(row.error)
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
        alike: dict[tuple[int, int], list[Member]] = {}
        for member, n, seed in drifted(wanted.plan, wanted.samples, DRIFTS):
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
            else DriftRow(member=member, values=moved)
            for member, moved in zip(self.group, self._drifts(bench, self.group), strict=True)
        )
        errors = tuple(f"{joined(row.member)}: {row.error}" for row in rows if row.error)
        return DriftRecord(samples=self.samples, seed=self.seed, rows=rows, errors=errors)

    def _drifts(self, bench: Bench, group: Sequence[Member]) -> list[tuple[float, ...] | Failed]:
        """The drift of each; where they fail together each is asked alone, so that not all fail for one."""
        found = attempt(lambda: drift(bench.plan, group, bench.base, bench.edited, self.samples, self.seed))
        if isinstance(found, Failed):
            return [found] if len(group) == 1 else [one for member in group for one in self._drifts(bench, [member])]
        return [one if all(map(isfinite, one)) else Failed("the drift is no number") for one in found]


def _groups(members: Sequence[Member], most: int) -> Iterator[tuple[Member, ...]]:
    for begin in range(0, len(members), most):
        yield tuple(members[begin : begin + most])
