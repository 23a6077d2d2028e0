"""Textual inversion (arXiv 2208.01618) of a concept that a model has forgotten: one new embedding, learned from its
pictures, in place of its name; the attack of arXiv 2308.01508.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tracelang.evidence.attacks.attack import Budget, Found, Inapplicable, Target
from tracelang.evidence.attacks.common import gradient, views
from tracelang.models.free import Slot, encode, instead
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.prompts import edit_prompts

RATE = 0.3  # of the embeddings' own spread


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Starts from the mean embedding of the concept's own words; each step has fresh noise, and a falling rate."""
    words, asked = model.prompt_encoder, slots(target, model)
    n = min(budget.rows, target.count)
    table = words.table.float()
    vector = torch.stack([table[slot.words.to(table.device)].mean(0) for slot in asked]).mean(0)
    start = vector.clone()
    rate = RATE if budget.rate is None else budget.rate
    step = rate * float(table[words.free.to(table.device)].std())
    adam = torch.optim.Adam([vector], lr=step)
    losses = []
    for i in range(budget.iterations):
        told = [asked[(i * n + j) % len(asked)] for j in range(n)]
        seen = views(target, model, "textual_inversion", n, 1, draw=i)

        def read(part: slice, free: Tensor, told: list[Slot] = told) -> TextStates:
            return encode(words, told[part], free)

        loss, pull = gradient("textual_inversion", model, seen, vector.expand(n, 1, -1), read)
        vector.grad = pull.mean((0, 1))
        adam.param_groups[0]["lr"] = step * (1 - i / budget.iterations)
        adam.step()
        losses.append(float(loss.mean()))
    with torch.no_grad():
        states = encode(words, asked, vector.expand(len(asked), 1, -1))
    some = -(-len(losses) // 4)
    spent: dict[str, int | float | str] = {
        "access": "soft states",
        "prompts": len(asked),
        "tokens": 1,
        "iterations": budget.iterations,
        "evaluations": n * budget.iterations,
        "latents": min(len(target.clean), n * budget.iterations),
        "rate": rate,
        "start": "the mean of its own words",
        "loss_first": sum(losses[:some]) / some,
        "loss_last": sum(losses[-some:]) / some,
    }
    rows = states.rows([i % len(asked) for i in range(target.count)])
    return Found(None, rows, spent, float(vector.norm() / start.norm()), ())


def slots(target: Target, model: Model) -> list[Slot]:
    """Every prompt of the plan that names the concept. Raises `Inapplicable` where all are cut off before it."""
    prompts = edit_prompts(target.plan, target.member)
    made = [instead(model.prompt_encoder.tokens([prompt.text])[0], model.layout(prompt)) for prompt in prompts]
    found = [slot for slot in made if slot is not None]
    if not found:
        raise Inapplicable("textual_inversion: every prompt is cut off before the concept's words; shorten a template")
    return found
