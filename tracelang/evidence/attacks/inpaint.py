"""Inpainting (arXiv 2505.17013): the middle of a picture of the concept, as the base drew it, is drawn anew from noise
by the attacked model with the concept's prompt; after every step all around it is the base's picture again, noised.

What is around shows the class, so that a model that never knew it may be led to it: held against such a model and a
random one, it says something, alone nothing. Pictures are judged whole: judges know whole pictures, not crops of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from tracelang.engine.sampling import Course
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.evidence.attacks.sampler import evaluations, pictures, sampled
from tracelang.models.protocol import Model
from tracelang.semantics.tables import ATTACKS


def run(target: Target, model: Model, budget: Budget) -> Found:
    """A picture of its own for every row."""
    prompts, seeds = target.dealt(target.count), target.seeds("inpaint")
    around = pictures(target, "inpaint").to(model.device, model.dtype)
    noise, inside, last = model.noise(seeds), middle(model, budget.mask), target.steps - 1

    def take(rows: Sequence[int], prediction: Tensor, index: int, x: Tensor) -> Tensor:
        after = model.step(prediction, index, target.steps, x)
        a, b = model.levels(index, target.steps)[1] if index < last else (1, 0)
        return torch.where(inside, after, a * around[list(rows)] + b * noise[list(rows)])

    found = sampled(target, model, prompts, seeds, Course(take=take))
    spent: dict[str, int | float | str] = {
        "access": ATTACKS["inpaint"][0],
        "prompts": len(set(prompts)),
        "mask": float(inside.float().mean()),
        "pictures": len(around),
        "judged": "whole pictures",
        "evaluations": evaluations(target, model),
    }
    return Found(tuple(prompts), None, spent, None, (), latents=found)


def middle(model: Model, share: float) -> Tensor:
    """Which of a latent's numbers `[1, …]` lie in a centred rectangle of that share of the area, of its proportions."""
    channels, height, width = model.latents.drawn
    inside = torch.zeros(1, channels, height, width)
    tall, wide = (max(1, round(side * sqrt(share))) for side in (height, width))
    top, left = (height - tall) // 2, (width - wide) // 2
    inside[..., top : top + tall, left : left + wide] = 1
    return model.latents.pack(inside).bool().to(model.device)
