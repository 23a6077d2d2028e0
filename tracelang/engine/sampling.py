"""Drawing pictures: the family's deterministic sampler with classifier-free guidance, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from tracelang.engine.protocol import Model, TextStates

Progress = Callable[[int, int], None]
"""`(done, all)`, called after each batch."""


def precision(model: Model, fast: bool) -> AbstractContextManager[object]:
    """bfloat16 autocast on a CPU where `fast` asks for it, nothing elsewhere."""
    if fast and model.device.type == "cpu" and model.dtype == torch.float32:
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


@torch.no_grad()
def sample(
    model: Model, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float | None = None,
    batch: int = 50, fast: bool = False, progress: Progress | None = None,
) -> Tensor:
    """Images `[n, 3, H, W]` in 0..1 for `n` prompts, each from its own noise seed. `guidance` None: the model's own."""
    scale = model.guidance if guidance is None else guidance
    known = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    with precision(model, fast):
        states, empty = model.encode(list(known)), model.encode([""])
    made: list[Tensor] = []
    for begin in range(0, len(prompts), batch):
        words = prompts[begin : begin + batch]
        full = states.rows([known[word] for word in words])
        pair = TextStates.cat([empty.rows([0] * len(words)), full]) if scale != 1 else full
        x = model.noise(seeds[begin : begin + batch])
        for i, time in enumerate(model.clock.times(steps)):
            with precision(model, fast):
                latents = torch.cat([x, x]) if scale != 1 else x
                guess = model.predict(latents, torch.full((len(latents),), time, device=model.device), pair)
            guess = guess.to(x.dtype)
            if scale != 1:
                blank, told = guess.chunk(2)
                guess = blank + scale * (told - blank)
            x = model.step(guess, i, steps, x)
        with precision(model, fast):
            made.append(model.decode(x).float())
        if progress:
            progress(min(begin + batch, len(prompts)), len(prompts))
    return torch.cat(made)
