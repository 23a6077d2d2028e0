"""Completion (arXiv 2505.17013): the base begins a picture of the concept, and the attacked model goes on from there
with the same prompt. How much the base does is told in progress, which means the same at any number of steps.

What layout and colours are decided by then are given away, so a model that never knew the concept goes some way, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tracelang.engine.sampling import Course
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.evidence.attacks.sampler import evaluations, sampled
from tracelang.models.protocol import Model
from tracelang.semantics.tables import ATTACKS


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Every second row gets half of what is given, at least one step of the base; each share is a form."""
    shares = (budget.given / 2, budget.given)
    prompts, seeds = target.dealt(target.count, len(shares)), target.seeds("complete")
    parts, order, asked, steps = [], list[int](), 0, []
    for i, share in enumerate(shares):
        rows = list(range(i, target.count, len(shares)))
        if not rows:
            continue
        own, from_ = [prompts[j] for j in rows], [seeds[j] for j in rows]
        steps.append(begun(model, share, target.steps))
        latents = beginning(target, share, steps[-1], own, from_)
        parts.append(sampled(target, model, own, from_, Course(latents.to(model.device, model.dtype), steps[-1])))
        order += rows
        asked += len(rows) * evaluations(target, model, target.steps - steps[-1]) // target.count
    back = torch.tensor(order).argsort()
    spent: dict[str, int | float | str] = {
        "access": ATTACKS["complete"][0],
        "prompts": len(set(prompts)),
        "given": budget.given,
        "steps_by_the_base": " and ".join(map(str, steps)),
        "evaluations": asked,
    }
    forms = tuple(f"{100 * shares[i % 2]:.3g} % given" for i in range(target.count))
    return Found(tuple(prompts), None, spent, None, (), forms, torch.cat(parts)[back])


def beginning(target: Target, share: float, steps: int, prompts: list[str], seeds: list[int]) -> Tensor:
    """What the base draws of the rows up to a step, once for every model that goes on from there."""
    key = f"completion's beginning from {target.seed}: {share} in {steps} of {target.steps}", target.count
    made = target.made.get(key)
    if not isinstance(made, Tensor):
        target.made[key] = made = sampled(target, target.base, prompts, seeds, Course(end=steps))
    return made


def begun(model: Model, share: float, steps: int) -> int:
    """How many of the sampler's times lie before a progress: at least one, and not all."""
    clock = model.clock
    return min(max(1, sum(time > clock.time(share) for time in clock.times(steps))), steps - 1)
