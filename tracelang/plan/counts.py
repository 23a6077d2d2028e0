"""What a pass computes, counted before it does: the rows of its batches, its trajectories, its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tracelang.plan.family import Clock
from tracelang.plan.types import Erasure, Plan
from tracelang.plan.windows import lower
from tracelang.semantics.kinds import Term
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer

Prompts = Literal["erased", "empty", "preserved"]

ON: dict[str, Prompts] = {"push": "erased", "hold": "erased", "blank": "empty", "keep": "preserved"}
"""The prompts that each kind of term is evaluated on."""


CALIBRATION, CALIBRATION_STEPS = 16, 20
"""Trajectories a group of prompts, and their sampler steps, on which the inputs of mixed layers are measured."""


@dataclass(frozen=True, slots=True)
class Share:
    """A term's part of every batch: `rows` of them, at the sampler steps `steps`."""

    term: Term
    rows: int
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Rows through the denoiser: `frozen` (sampling and the teacher, no gradient) and `trained` (with gradient)."""

    frozen: int
    trained: int


def shares(settings: Steer, clock: Clock, preserves: bool) -> tuple[Share, ...]:
    """The batch's composition: `batch` rows of erased prompts, `batch` of preserved, `batch // 4` of the empty one,
    each shared evenly by the terms that need them. Without preserved prompts `keep` has nothing to say.

    What `problem` finds in it cannot be trained. Raises WindowError.
    """
    terms = [term for term in settings.terms if term.weight > 0 and (preserves or ON[term.kind] != "preserved")]
    logsnr = [clock.logsnr(time) for time in clock.times(settings.sampler_steps)]
    quarter = max(1, settings.batch // 4)
    size: dict[Prompts, int] = {"erased": settings.batch, "preserved": settings.batch, "empty": quarter}
    result = []
    for on in size:
        sharing = [term for term in terms if ON[term.kind] == on]
        for i, term in enumerate(sharing):
            interval = lower(term.during, clock)
            steps = tuple(step for step, value in enumerate(logsnr) if value in interval)
            rows = max(1, size[on] // len(sharing) + (i < size[on] % len(sharing)))
            result.append(Share(term, rows, steps))
    return tuple(result)


def problem(settings: Steer, batch: Sequence[Share]) -> str | None:
    """Why no batch of these shares can be drawn, in one line, or None."""
    if not batch:
        return f"{settings.label}: no term has anything to train on; give one a weight, or `preserve` for `keep`"
    empty = next((share.term.label for share in batch if not share.steps), None)
    if empty is None:
        return None
    return f"{settings.label}: the window of {empty} holds none of the {settings.sampler_steps} sampler steps"


def kept(settings: Steer, batch: Sequence[Share], members: int) -> int:
    """How many trajectories of preserved prompts: twice those of an erased concept, at least one a member.

    The same for every concept of the pass. None where no term is evaluated on them: `keep` is, and `blank`.
    """
    if not members or all(ON[share.term.kind] == "erased" for share in batch):
        return 0
    return max(2 * settings.trajectories, members)


def held(batch: Sequence[Share]) -> tuple[int, ...]:
    """The sampler steps at which `hold` asks what the model predicted before the pass."""
    return tuple(sorted({step for share in batch if share.term.kind == "hold" for step in share.steps}))


def cost(plan: Plan, settings: Steer, clock: Clock) -> Cost:
    """The pass on this clock, when no trajectory is in a cache.

    Sampling predicts with and without the prompt at every sampler step, and for the anchor where there is one. A
    refresh samples anew from the student and asks the original model for the same predictions there. Where earlier
    passes changed the model, `hold` asks it for predictions too.
    """
    batch = shares(settings, clock, bool(plan.preserve))
    steps = len(clock.times(settings.sampler_steps))
    preserved = 2 * steps * kept(settings, batch, len(plan.preserve))
    earlier = plan.method.passes[: plan.method.passes.index(settings)]
    changed = any(isinstance(one, Refine | Steer) for one in earlier)
    before = len(held(batch)) * settings.trajectories if changed else 0
    refreshes = (settings.steps - 1) // settings.refresh if settings.refresh else 0

    def erased(erasure: Erasure) -> int:
        return steps * settings.trajectories * (2 if erasure.anchor is None else 3)

    again = sum(2 * (erased(one) + preserved) + before for one in plan.active)
    frozen = sum(erased(one) + before for one in plan.active) + refreshes * again
    trained = settings.steps * sum(share.rows for share in batch)
    return Cost(frozen + (preserved if plan.active else 0), trained * len(plan.active))


def calibrations(members: int) -> int:
    """How many trajectories calibrate a group of concepts, at least one a member."""
    return max(CALIBRATION, members)


def calibration(plan: Plan) -> Cost:
    """Fusing adapters of layers with mixed inputs: sampling of every erased concept, and of all that is preserved."""
    trajectories = len(plan.active) * calibrations(1) + calibrations(1 + len(plan.preserve))
    return Cost(2 * CALIBRATION_STEPS * trajectories, 0)
