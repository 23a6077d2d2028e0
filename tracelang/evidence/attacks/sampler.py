"""What attacks share that sample by themselves: pictures that the base draws, another course of sampling, and the best
of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tracelang.engine.sampling import PLAIN, Course, precision, sample_latents
from tracelang.engine.seeds import seed
from tracelang.evidence.attacks.attack import Target
from tracelang.evidence.attacks.latent_classifier import LatentClassifier
from tracelang.models.protocol import Model

CHOICE = "the classifier of latents, learned from the base's pictures, the same for every model; never by a judge"


def sampled(
    target: Target, model: Model, prompts: Sequence[str], seeds: Sequence[int], course: Course = PLAIN
) -> Tensor:
    """Latents `[n, …]` that the model arrives at on a course."""
    with torch.no_grad(), precision(model, True):
        states = model.encode(list(prompts))
    return sample_latents(model, states, seeds, steps=target.steps, fast=True, course=course)


def pictures(target: Target, purpose: str) -> Tensor:
    """Clean latents `[count, …]` of the concept as the base draws it, one a row, drawn once for every model."""
    key = f"{purpose} pictures from {target.seed}", target.count
    made = target.made.get(key)
    if isinstance(made, Tensor):
        return made
    prompts = target.dealt(target.count)
    seeds = [seed(f"attack {purpose} picture", target.name, i, target.seed) for i in range(target.count)]
    target.made[key] = found = sampled(target, target.base, prompts, seeds)
    return found


def evaluations(target: Target, model: Model, steps: int | None = None) -> int:
    """Predictions asked of the model for `count` rows over so many steps, all by default, under its own guidance."""
    return target.count * (target.steps if steps is None else steps) * (1 if model.guidance == 1 else 2)


def best(tries: Sequence[Tensor], known: LatentClassifier) -> tuple[Tensor, Tensor]:
    """Of several clean latents `[n, …]` of each row, those that a classifier takes most for the concept; and which."""
    scores = torch.stack([known.logits(one, known.clean) for one in tries])
    which = scores.argmax(0)
    stacked = torch.stack(list(tries))
    return stacked[which, torch.arange(stacked.shape[1], device=which.device)], which


def spread(low: float, high: float, n: int) -> list[float]:
    """`n` values from `low` to `high`, evenly; the higher end where there is but one."""
    return [high if n == 1 else low + (high - low) * i / (n - 1) for i in range(n)]


def tried(settings: Sequence[float], draw: Callable[[float], Tensor], known: LatentClassifier) -> tuple[Tensor, str]:
    """The best of what is drawn under each setting, and how often each was chosen."""
    found, which = best([draw(setting) for setting in settings], known)
    counts = ", ".join(f"{setting:.3g}: {int((which == i).sum())}" for i, setting in enumerate(settings))
    return found, counts
