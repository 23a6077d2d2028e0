"""Drawing pictures: the family's deterministic sampler with classifier-free guidance, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from tracelang.engine.precision import bfloat16_pays
from tracelang.models.protocol import Model, TextStates

Progress = Callable[[int, int], None]
"""`(done, all)`, called after each batch."""


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
    batch: int = 50,
    fast: bool = False,
    progress: Progress | None = None,
) -> Tensor:
    """Images `[n, 3, H, W]` in 0..1 for `n` prompts, each from its own noise seed. `guidance` None: the model's own."""
    known = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    with precision(model, fast):
        states = model.encode(list(known)).rows([known[prompt] for prompt in prompts])
    latents = draw(model, states, seeds, steps=steps, guidance=guidance, batch=batch, fast=fast, progress=progress)
    with precision(model, fast):
        return model.decode(latents).float()


@torch.no_grad()
def draw(
    model: Model,
    states: TextStates,
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float | None = None,
    batch: int = 50,
    fast: bool = False,
    progress: Progress | None = None,
) -> Tensor:
    """Clean latents `[n, …]` for `n` rows of text states, each from its own noise seed."""
    scale = model.guidance if guidance is None else guidance
    with precision(model, fast):
        empty = model.encode([""])
    made: list[Tensor] = []
    for begin in range(0, len(seeds), batch):
        told = states.rows(range(begin, min(begin + batch, len(seeds))))
        pair = TextStates.cat([empty.rows([0] * len(told)), told]) if scale != 1 else told
        x = model.noise(seeds[begin : begin + batch])
        for i, time in enumerate(model.clock.times(steps)):
            with precision(model, fast):
                latents = torch.cat([x, x]) if scale != 1 else x
                guess = model.predict(latents, torch.full((len(latents),), time, device=model.device), pair)
            guess = guess.to(x.dtype)
            if scale != 1:
                blank, full = guess.chunk(2)
                guess = blank + scale * (full - blank)
            x = model.step(guess, i, steps, x)
        made.append(x)
        if progress:
            progress(min(begin + batch, len(seeds)), len(seeds))
    return torch.cat(made)
