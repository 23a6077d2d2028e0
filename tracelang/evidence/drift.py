"""How far an edit moves the prediction, along the frozen model's own trajectories under noise that no training saw.

No picture is decoded. For a `protected` concept none is even approached: its prompts are only asked for a prediction,
on trajectories of the empty prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.batches import batches
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.rollout import Start, predictions, record
from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.schema import NoiseLevels
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Member, Plan

STEPS = 20
"""Sampler steps of a trajectory: as many noise levels."""
CHUNK = 32
"""Trajectories in memory at a time."""


def drift(plan: Plan, members: Sequence[Member], base: Model, edited: Model, samples: int, seed: int) -> list[float]:
    """Of each member the mean of `‖pred' − pred°‖ / ‖pred°‖` over `samples` trajectories, dealt over its prompts, and
    all steps. The members' trajectories share batches.

    Raises `EngineError` where a prediction is not finite, ValueError for no samples.
    """
    asked = [one for member in members for one in _asked(plan, [member], samples, seed)]
    found: list[float] = _moved(base, edited, asked).view(len(members), -1).mean(1).tolist()
    return found


def levels(plan: Plan, base: Model, edited: Model, seed: int, n: int) -> NoiseLevels:
    """The same at each noise level, noisiest first: `n` trajectories dealt over the erased members, `n` over the
    preserved ones. A side without members is empty.
    """
    sides = ([one.targets for one in plan.active], [one.concepts for one in plan.preserve])
    erased, preserved = (
        tuple(_moved(base, edited, _asked(plan, members, n, seed)).mean(0).tolist()) if members else ()
        for members in sides
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
    prompts = [[prompt.text for prompt in edit_prompts(plan, member)] for member in members]
    protected = [any(plan.concept(name).kind == "protected" for name in member) for member in members]
    for texts, closed in zip(prompts, protected, strict=True):
        if not closed:
            refuse(plan, texts, EngineError)
    found = []
    for i in range(n):
        which, visit = i % len(members), i // len(members)
        prompt = prompts[which][visit % len(prompts[which])]
        start = Start("" if protected[which] else prompt, None, seed_of("drift", prompt, visit, seed))
        found.append(_Asked(start, prompt))
    return found


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
