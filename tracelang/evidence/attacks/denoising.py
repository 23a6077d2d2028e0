"""The loss that attacks through the denoiser share: its error on noised latents of the concept, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.batches import batch_size
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.seeds import generator, seed
from tracelang.evidence.attacks.attack import AttackError, Target
from tracelang.models.protocol import Model, TextStates

ELEMENTS = 2**16
"""Latent elements in one batch with gradients: 4 of Stable Diffusion's."""
NOISIEST, CLEANEST = 0.05, 0.75
"""The stretch of sampling (progress) that attacks look at: there it is decided what a picture shows."""

Encode = Callable[[slice, Tensor], TextStates]
"""Text states of the rows of that slice, from their free embeddings `[n, k, d]`."""


@dataclass(frozen=True, slots=True)
class Views:
    """`n` rows with `v` noised latents each: `x [v, n, …]`, times `[v, n]`, and answers `[v, n, …]` wanted there."""

    x: Tensor
    times: Tensor
    wanted: Tensor

    def __len__(self) -> int:
        return len(self.x)


def views(target: Target, model: Model, purpose: str, n: int, v: int, draw: int = 0) -> Views:
    """Latents of the concept, dealt to the rows in turn and noised, `v` times a row over as many stretches of sampling.

    `wanted` is what the denoiser was trained to answer. `draw` numbers fresh noise.
    """
    g = generator(f"attack {purpose} times", target.name, draw, target.seed)
    spread = (torch.arange(v)[:, None] + torch.rand(v, n, generator=g)) / v
    times = torch.tensor(
        [[model.clock.time(NOISIEST + (CLEANEST - NOISIEST) * float(p)) for p in row] for row in spread]
    )
    x, wanted = [], []
    for k in range(v):
        first = (draw * v + k) * n
        clean = target.clean[[(first + i) % len(target.clean) for i in range(n)]].to(model.device, model.dtype)
        noise = model.noise([seed(f"attack {purpose}", target.name, first + i, target.seed) for i in range(n)])
        noisy, answer = model.diffuse(clean, noise, times[k])
        x.append(noisy)
        wanted.append(answer)
    return Views(torch.stack(x), times.to(model.device), torch.stack(wanted))


@torch.no_grad()
def answers(model: Model, seen: Views, states: TextStates) -> Views:
    """The same views, and wanted there what `model` predicts for the rows' `states`."""
    wanted = []
    for k in range(len(seen)):
        answered = [
            model.predict(seen.x[k, part], seen.times[k, part], states.rows(range(part.start, part.stop)))
            for part in parts(seen)
        ]
        wanted.append(torch.cat(answered))
    return Views(seen.x, seen.times, torch.stack(wanted))


def gradient(attack: str, model: Model, seen: Views, free: Tensor, encode: Encode) -> tuple[Tensor, Tensor]:
    """Mean squared error of each row over its views `[n]`, and its gradient by the free embeddings `[n, k, d]`.

    Only the embeddings get gradients. Raises `AttackError` where the loss is not finite, and in float16, where most of
    a gradient is rounded to nothing and the attack would fail for that alone.
    """
    if model.dtype == torch.float16:
        raise AttackError(f"{attack}: gradients fall out of float16's range; verify in float32 or bfloat16")
    losses, gradients = list[Tensor](), list[Tensor]()
    for part in parts(seen):
        leaf = free[part].detach().requires_grad_()
        loss = _error(model, seen, part, encode(part, leaf))
        gradients += torch.autograd.grad(loss.sum(), leaf)
        losses.append(loss.detach())
    loss, pull = torch.cat(losses), torch.cat(gradients)
    if not (torch.isfinite(loss).all() and torch.isfinite(pull).all()):
        raise AttackError(f"{attack}: the loss or its gradient is not finite; the model's predictions cannot be used")
    return loss, pull


def _error(model: Model, seen: Views, part: slice, states: TextStates) -> Tensor:
    """Mean squared error `[n]` of rows over all their views, asked in one batch."""
    x, times, wanted = (of[:, part].flatten(0, 1) for of in (seen.x, seen.times, seen.wanted))
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16_pays(model)):
        guess = model.predict(x, times, states.rows([*range(len(states))] * len(seen)))
    return (guess.float() - wanted.float()).square().flatten(1).mean(1).view(len(seen), -1).mean(0)


def parts(seen: Views) -> Iterator[slice]:
    """Slices of the rows, as many at once as `ELEMENTS` allows with all their views."""
    n = seen.x.shape[1]
    size = batch_size(seen.x[:, 0].shape, ELEMENTS, n)
    return (slice(begin, min(begin + size, n)) for begin in range(0, n, size))
