"""The loss terms: on which prompts, toward what, and where along the trajectories (LANGUAGE.md, METHODS.md §6, §8.3).

The loss is `Σ_terms weight · E ‖pred_θ − target‖²`, each expectation over its own term's prompts and uniformly over
the sampler steps inside its own window. A batch gives every term rows of its own, so that no term is starved by
another's wider window.

`loss = velocity` measures both sides as velocities. A step's error of predicted noise counts for `1/ᾱ` then, over the
mean of that, so that the terms stay as large as they were. Noise alone hardly sees what happens early, where a small
error of it is a large one of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.rollout import Trajectories
from tracelang.plan.counts import ON, problem, shares
from tracelang.plan.family import Clock
from tracelang.semantics.kinds import Term
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.terms.blank import Blank
from tracelang.semantics.terms.hold import Hold
from tracelang.semantics.terms.keep import Keep
from tracelang.semantics.terms.push import Push


def target(term: Term, c: Tensor, e: Tensor, y: Tensor | None, degree: float) -> Tensor:
    """What the prediction should become, from the frozen `c = pred°(X)`, `e = pred°(∅)` and `y = pred°(Y)`.

    `push`: `base − strength·δ(X)` with `δ(X) = c − e` and base `e`, or `y` where there is an anchor (METHODS.md §5);
    then `c + degree·(that − c)`. `hold` and `keep`: `c`, for `hold` of the model before the pass. `blank`: `e`.
    """
    match term:
        case Push():
            pushed = (e if y is None else y) - term.strength * (c - e)
            return pushed if degree == 1 else c + degree * (pushed - c)
        case Blank():
            return e
        case Hold() | Keep():
            return c
    raise EngineError(f"{term.label}: the term `{term.kind}` is not carried out yet")


@dataclass(frozen=True, slots=True)
class Slot:
    """A term's share of every batch: `rows` of them, at the sampler steps `steps`, whose errors count for `counts`."""

    term: Term
    rows: int
    steps: Tensor
    counts: Tensor


def slots(settings: Steer, clock: Clock, preserves: bool) -> tuple[Slot, ...]:
    """The batch's composition, as `counts.shares` lays it out.

    Raises `EngineError` where nothing is left to train on, and for a window that holds none of the sampler's steps.
    """
    batch = shares(settings, clock, preserves)
    why = problem(settings, batch)
    if why is not None:
        raise EngineError(why)
    counts = torch.ones(settings.sampler_steps)
    if settings.loss == "velocity":
        squares = torch.tensor([clock.velocity(time) ** 2 for time in clock.times(settings.sampler_steps)])
        counts = squares / squares.mean()
    steps = [torch.tensor(share.steps) for share in batch]
    return tuple(Slot(share.term, share.rows, at, counts[at]) for share, at in zip(batch, steps, strict=True))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one training step: where (`latents`, `times`), for which `prompts`, toward what, and their weights.

    The loss is `Σ_rows weights · mean ‖pred − targets‖²`.
    """

    latents: Tensor
    times: Tensor
    prompts: tuple[str, ...]
    targets: Tensor
    weights: Tensor


def draw(
    slots: Sequence[Slot],
    erased: Trajectories,
    kept: Trajectories | None,
    kept_weights: Tensor,
    degree: float,
    generator: torch.Generator,
) -> Batch:
    """One batch. `∅` is drawn in turn on erased and on preserved trajectories: guidance needs it right on both."""
    parts: list[tuple[Tensor, Tensor, list[str], Tensor, Tensor]] = []
    for slot in slots:
        on = ON[slot.term.kind]
        if on == "preserved":
            sources = [kept] if kept is not None else []
        elif on == "empty" and kept is not None:
            sources = [erased, kept]
        else:
            sources = [erased]
        for i, source in enumerate(sources):
            rows = slot.rows // len(sources) + (i < slot.rows % len(sources))
            if not rows or source is None:
                continue
            n = torch.randint(len(source), (rows,), generator=generator)
            at = torch.randint(len(slot.steps), (rows,), generator=generator)
            s = slot.steps[at]
            y = None if source.anchor is None else source.anchor[n, s].float()
            asked = source.before if slot.term.kind == "hold" and source.before is not None else source.conditional
            goal = target(slot.term, asked[n, s].float(), source.empty[n, s].float(), y, degree)
            weight = slot.counts[at] * (slot.term.weight / slot.rows)
            if on == "preserved":
                weight = weight * kept_weights[n]
            prompts = [""] * rows if on == "empty" else [source.prompts[int(k)] for k in n]
            parts.append((source.latents[n, s], source.times[s], prompts, goal, weight))
    return Batch(
        torch.cat([part[0] for part in parts]),
        torch.cat([part[1] for part in parts]),
        tuple(prompt for part in parts for prompt in part[2]),
        torch.cat([part[3] for part in parts]),
        torch.cat([part[4] for part in parts]),
    )
