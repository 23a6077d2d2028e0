"""Fine-tuning of a model on a few pictures, as somebody does who holds its weights: what relearning and benign
fine-tuning are measured with (docs/methods.md §5.9).

Which pictures a step sees, at which times and under which noise is drawn from the step and the seed alone, so that
models that are compared learn from the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tracelang.engine.batch import Batch
from tracelang.engine.gradient import accumulate
from tracelang.engine.lora import injected
from tracelang.engine.low_rank import LowRank
from tracelang.engine.options import Options
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.seeds import generator
from tracelang.evidence.rounding import apart
from tracelang.models.protocol import Model
from tracelang.plan.family import Site

Tuning = Literal["adapter", "full"]
RATES: dict[Tuning, float] = {"adapter": 1.2e-3, "full": 6e-5}
"""AdamW's rates, constant: twelve and six times the published ones. That of adapters was chosen on things that settings
are chosen on, erased by `uce`: `python -m tests.benchmarks.relearn` prints what a rate brings back of them.
"""
RANK = 8
BATCH = 4
DECAY = 0.01
"""AdamW's weight decay."""
ATTENTION = ("query", "key", "value", "out")


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a model is taught: clean latents `[n, …]`, each with its prompt."""

    latents: Tensor
    prompts: tuple[str, ...]


def tuned(model: Model, lesson: Lesson, how: Tuning, seed: int, grid: Sequence[int]) -> Iterator[tuple[int, Model]]:
    """Train on, and stop at every number of steps of the grid, which rises: the steps done, and the model as it is by
    then. Afterwards `model` is what it was.

    Raises ValueError where the loss is not finite, `EngineError` where there is no layer for an adapter.
    """
    with _student(model, how, seed) as (student, parts):
        for done in _trained(student, parts, lesson, how, seed, grid):
            yield done, student


def adapter(model: Model, lesson: Lesson, seed: int, steps: int) -> dict[Site, LowRank]:
    """What an adapter, trained so many steps, adds to each matrix. `model` stays what it is. Raises as `tuned` does."""
    with injected(model, attention(model), RANK, "fine-tune", seed) as adapters:
        for _ in _trained(model, adapters.parts, lesson, "adapter", seed, (steps,)):
            pass
        return adapters.learnt()


def _trained(
    student: Model, parts: list[nn.Parameter], lesson: Lesson, how: Tuning, seed: int, grid: Sequence[int]
) -> Iterator[int]:
    """The steps done, at every number of the grid."""
    optimiser = torch.optim.AdamW(parts, lr=RATES[how], weight_decay=DECAY)
    states = student.encode(list(lesson.prompts))
    options = Options(autocast=bfloat16_pays(student))
    done = 0
    for until in grid:
        for step in range(done, until):
            batch, rows = drawn(student, lesson, seed, step)
            optimiser.zero_grad(set_to_none=True)
            if not math.isfinite(accumulate(student, batch, states.rows(rows), options)):
                raise ValueError(f"the loss is not finite at training step {step}")
            torch.nn.utils.clip_grad_norm_(parts, 1.0)
            optimiser.step()
        done = until
        yield done


def drawn(model: Model, lesson: Lesson, seed: int, step: int) -> tuple[Batch, Tensor]:
    """A step's batch, and which pictures are in it: times uniform along the model's clock, fresh noise."""
    random = generator("fine-tune", "", step, seed)
    rows = torch.randint(len(lesson.latents), (BATCH,), generator=random)
    times = torch.tensor([model.clock.time(float(at)) for at in torch.rand(BATCH, generator=random)])
    clean = lesson.latents[rows.to(lesson.latents.device)]
    noise = torch.randn(clean.shape, generator=random).to(clean)
    noisy, targets = model.diffuse(clean, noise, times.to(clean.device))
    prompts = tuple(lesson.prompts[i] for i in rows)
    return Batch(noisy, times, prompts, targets.float(), torch.full((BATCH,), 1 / BATCH)), rows


@torch.no_grad()
def losses(model: Model, lesson: Lesson) -> list[float]:
    """The mean squared error of the prediction on each of the lesson's pictures, each at a time of its own, at even
    distances, under the same noise whichever the model.
    """
    n = len(lesson.latents)
    times = torch.tensor([model.clock.time((i + 0.5) / n) for i in range(n)])
    noise = torch.randn(lesson.latents.shape, generator=generator("held out", "", 0, 0)).to(lesson.latents)
    noisy, targets = model.diffuse(lesson.latents, noise, times.to(lesson.latents.device))
    found = model.predict(noisy, times.to(noisy.device), model.encode(list(lesson.prompts)))
    each: list[float] = (found.float() - targets.float()).square().flatten(1).mean(1).tolist()
    return each


@contextmanager
def _student(model: Model, how: Tuning, seed: int) -> Iterator[tuple[Model, list[nn.Parameter]]]:
    """The model that is trained, and its trainable parameters."""
    if how == "adapter":
        with injected(model, attention(model), RANK, "fine-tune", seed) as adapters:
            yield model, adapters.parts
    else:
        student = apart(model)
        student.denoiser.requires_grad_(True)
        yield student, list(student.denoiser.parameters())


def attention(model: Model) -> list[Site]:
    """The matrices that an adapter is put on: queries, keys, values and outputs of attention."""
    return [site for site in model.sites if site.role in ATTENTION]
