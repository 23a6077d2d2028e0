"""The rows of a training step: of which term, on which prompts, and where along the trajectories.

docs/methods.md §3.2, §3.4. Each term's expectation is over its own prompts and uniformly over the sampler steps inside
its own window. A batch gives every term rows of its own, so that no term is starved by another's wider window.

`loss = velocity` measures both sides as velocities. A step's error of predicted noise counts for `1/ᾱ` then, over the
mean of that, so that the terms stay as large as they were. Noise alone hardly sees what happens early, where a small
error of it is a large one of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor

from tracelang.engine.rollout import Seen, Trajectories
from tracelang.plan.family import Clock
from tracelang.semantics.kinds import Share, Term
from tracelang.semantics.passes.steer import Steer


def target(term: Term, seen: Seen, degree: float) -> Tensor:
    """What the prediction should become, as the file of the term's kind says."""
    goal: Tensor = import_module(f"tracelang.engine.terms.{term.kind}").target(term, seen, degree)
    return goal


@dataclass(frozen=True, slots=True)
class Slot:
    """A term's share of every batch: `rows` of them, at the sampler steps `steps`, whose errors count for `counts`."""

    term: Term
    rows: int
    steps: Tensor
    counts: Tensor


def slots(settings: Steer, shares: Sequence[Share], clock: Clock) -> tuple[Slot, ...]:
    """The batch's composition as tensors."""
    counts = torch.ones(settings.sampler_steps)
    if settings.loss == "velocity":
        squares = torch.tensor([clock.velocity(time) ** 2 for time in clock.times(settings.sampler_steps)])
        counts = squares / squares.mean()
    steps = [torch.tensor(share.steps) for share in shares]
    return tuple(
        Slot(share.term, share.rows, at, torch.ones(len(at)) if share.term.attends else counts[at])
        for share, at in zip(shares, steps, strict=True)
    )


Source = tuple[Trajectories, float]
"""Trajectories of one concept, and its degree."""


@dataclass(frozen=True, slots=True)
class Focus:
    """What a row is there for whose loss is of attention: the rows of its prompt's states that are meant, and what the
    unedited model `told`, `[…]`.
    """

    term: Term
    tokens: tuple[int, ...]
    told: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one training step: where (`latents`, `times`), for which `prompts` (`""`: the unconditional input),
    toward what, and their weights.

    The loss is `Σ_rows weights · mean ‖pred − targets‖²`; in a row with a focus, its term's own instead. No focus at
    all: no row has one.
    """

    latents: Tensor
    times: Tensor
    prompts: tuple[str, ...]
    targets: Tensor
    weights: Tensor
    focus: tuple[Focus | None, ...] = ()


def draw_batch(
    slots: Sequence[Slot],
    erased: Sequence[Trajectories],
    kept: Trajectories | None,
    kept_weights: Tensor,
    degrees: Sequence[float],
    generator: torch.Generator,
) -> Batch:
    """One batch. `∅` is drawn in turn on erased and on preserved trajectories: guidance needs it right on both.

    `erased` are the trajectories of each concept, `degrees` theirs: a term's rows are dealt evenly over the concepts,
    in another order each time, so that more concepts than rows have their turn as well.
    """
    concepts = list(zip(erased, degrees, strict=True))
    preserved = [] if kept is None else [[(kept, 1.0)]]
    sources = {"erased": [concepts], "preserved": preserved, "empty": [concepts, *preserved]}
    parts: list[tuple[Tensor, Tensor, list[str], Tensor, Tensor]] = []
    focus: list[Focus | None] = []
    for slot in slots:
        on = slot.term.on
        for source, degree, rows in _dealt(sources[on], slot.rows, generator):
            n = torch.randint(len(source), (rows,), generator=generator)
            at = torch.randint(len(slot.steps), (rows,), generator=generator)
            s = slot.steps[at]
            seen = source.seen(n, s)
            weight = slot.counts[at] * (slot.term.weight / slot.rows)
            if slot.term.attends:
                goal, weight = seen.conditional, weight * degree
                focus += _focus(slot.term, source, n, s)
            else:
                goal = target(slot.term, seen, degree)
                focus += [None] * rows
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
        tuple(focus),
    )


def _focus(term: Term, source: Trajectories, n: Tensor, s: Tensor) -> list[Focus | None]:
    """Each with memory of its own: how a cache's file lies there may decide a last bit."""
    known = source.looked[term.label]
    return [Focus(term, known.tokens[i], known.told[i, k].clone()) for i, k in zip(n.tolist(), s.tolist(), strict=True)]


def _dealt(
    groups: Sequence[Sequence[Source]], rows: int, generator: torch.Generator
) -> Iterator[tuple[Trajectories, float, int]]:
    """How many rows each source gets: as many for every group, and inside of one for every member, in a drawn order."""
    for group, share in zip(groups, _even(rows, len(groups)), strict=True):
        order = torch.randperm(len(group), generator=generator).tolist() if len(group) > 1 else [0]
        for i, count in zip(order, _even(share, len(group)), strict=True):
            if count:
                yield *group[i], count


def _even(rows: int, parts: int) -> list[int]:
    return [rows // parts + (i < rows % parts) for i in range(parts)]
