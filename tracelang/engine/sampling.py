"""The family's deterministic sampler: one loop, which trajectories are recorded from and pictures drawn with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from tracelang.engine.batches import batch_size, batches
from tracelang.engine.precision import bfloat16_pays
from tracelang.models.protocol import Model, TextStates
from tracelang.progress import Progress

ELEMENTS, MOST = 200_000, 50
"""Latent elements in one batch of pictures: 50 of a small model's, 12 of 512 × 512 pixels."""


Take = Callable[[Sequence[int], Tensor, int, Tensor], Tensor]
"""A step of another sampler: of which rows, their guided prediction `[n, …]`, the index of the time, the latents there;
to the latents at the next time.
"""


@dataclass(frozen=True, slots=True)
class Course:
    """Sampling that differs from the family's own: `begin` and `end` are indices of its times, `latents` `[n, …]` those
    it begins with in place of noise, `take` its steps.
    """

    latents: Tensor | None = None
    begin: int = 0
    end: int | None = None
    take: Take | None = None


PLAIN = Course()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the sampler: at `time`, from the latents `x [n, …]` to `after`.

    `predictions` are the model's raw ones at `x`, by what they were asked for, each `[n, …]` in the latents' dtype.
    """

    time: float
    x: Tensor
    predictions: Mapping[str, Tensor]
    after: Tensor


@torch.no_grad()
def denoise(
    model: Model,
    states: Mapping[str, TextStates],
    seeds: Sequence[int],
    steps: int,
    guidance: float,
    fast: bool = False,
    x: Tensor | None = None,
    begin: int = 0,
    take: Callable[[Tensor, int, Tensor], Tensor] | None = None,
) -> Iterator[Step]:
    """Sample `n` latents, each from its own noise seed, and tell of every step; the last one's `after` is clean.

    `x`: not from noise, but from these latents at the `begin`-th time. `take`: not by the family's steps, but by these.
    `states` are those of the prompts (`"conditional"`), the unconditional input (`"empty"`) where guidance is to be
    applied, and what else is to be predicted on the way, `n` rows each: all of them in one call, in their order.
    """
    x = model.noise(seeds) if x is None else x
    asked = TextStates.cat(list(states.values()))
    for index, time in islice(enumerate(model.clock.times(steps)), begin, None):
        with precision(model, fast):
            found = predict(model, x, time, asked).to(x.dtype)
        predictions = dict(zip(states, torch.split(found, len(x)), strict=True))
        guided = predictions["conditional"]
        if "empty" in predictions:
            guided = model.guided(guided, predictions["empty"], guidance)
        after = model.step(guided, index, steps, x) if take is None else take(guided, index, x)
        yield Step(time, x, predictions, after)
        x = after


@torch.no_grad()
def predict(model: Model, x: Tensor, time: float, states: TextStates) -> Tensor:
    """Raw predictions at one time of every group of `len(x)` states, all on the same latents `x`."""
    rows = x.repeat(len(states) // len(x), *[1] * (x.dim() - 1))
    return model.predict(rows, torch.full((len(rows),), time, device=x.device), states)


def precision(model: Model, fast: bool) -> AbstractContextManager[object]:
    """bfloat16 autocast where `fast` asks for it and `bfloat16_pays`; the model's own dtype elsewhere."""
    return torch.autocast("cpu", torch.bfloat16) if fast and bfloat16_pays(model) else nullcontext()


def sample(
    model: Model,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float | None = None,
    batch: int | None = None,
    fast: bool = False,
    progress: Progress | None = None,
) -> Tensor:
    """Images `[n, 3, H, W]` in 0..1 for `n` prompts, each from its own noise seed. `guidance` None: the model's own."""
    known = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    with precision(model, fast):
        states = model.encode(list(known)).rows([known[prompt] for prompt in prompts])
    clean = sample_latents(
        model, states, seeds, steps=steps, guidance=guidance, batch=batch, fast=fast, progress=progress
    )
    with precision(model, fast):
        return model.decode(clean).float()


@torch.no_grad()
def sample_latents(
    model: Model,
    states: TextStates,
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float | None = None,
    batch: int | None = None,
    fast: bool = False,
    progress: Progress | None = None,
    course: Course = PLAIN,
) -> Tensor:
    """Clean latents `[n, …]` for `n` rows of text states, each from its own noise seed, `batch` at a time; noisy ones
    where the `course` ends before.
    """
    scale = model.guidance if guidance is None else guidance
    size = batch or batch_size(model.latent_shape, ELEMENTS, MOST)
    with precision(model, fast):
        empty = model.unconditional()
    made: list[Tensor] = []
    for rows in batches(range(len(seeds)), size):
        asked = {"conditional": states.rows(rows)}
        if scale != 1:
            asked = {"empty": empty.rows([0] * len(rows)), **asked}
        x = None if course.latents is None else course.latents[list(rows)]
        take = None if course.take is None else partial(course.take, rows)
        path = denoise(model, asked, [seeds[i] for i in rows], steps, scale, fast, x, course.begin, take)
        *_, last = islice(path, None if course.end is None else course.end - course.begin)
        made.append(last.after)
        if progress is not None:
            progress("pictures", rows[-1] + 1, len(seeds))
    return torch.cat(made)
