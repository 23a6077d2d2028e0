"""UnlearnDiffAtk (arXiv 2310.11868): a prefix before the concept's prompt with which the edited model denoises the
concept's own pictures. The model is its own classifier; no second one is needed.

    min over prefix tokens p'  ‖ pred_edited(x_t, t, [p'; p]) − target ‖²

Each place of the prefix is a point of the simplex over the vocabulary; the gradient, taken at its largest entry, moves
the point, which is projected back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tracelang.engine.seeds import generator
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.evidence.attacks.common import Search, content, frame, views, vocabulary
from tracelang.models.protocol import Model

RATE = 0.03


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Starts from random tokens, a row each; every row has its own latents, noise and prompt."""
    words = model.prompt_encoder
    n = min(budget.rows, target.count)
    around = frame(words, target.prompts[0])
    known = vocabulary(words, around)
    vectors = words.table[known.to(words.table.device)].float()
    g = generator("attack unlearn_diff_atk start", target.name, 0, target.seed)
    weights = torch.zeros(n, budget.tokens, len(known))
    weights.scatter_(-1, torch.randint(len(known), (n, budget.tokens, 1), generator=g), RATE)
    seen = views(target, model, "unlearn_diff_atk", n, budget.views)
    search = Search("unlearn_diff_atk", model, seen, around, [content(words, p) for p in target.dealt(n)], target)
    rate = RATE if budget.rate is None else budget.rate
    for _ in range(budget.iterations):
        pull = (search.try_(known[weights.argmax(-1)]) @ vectors.T).cpu()
        pull -= pull.mean(-1, keepdim=True)
        weights = simplex(weights - rate * pull / pull.abs().amax(-1, keepdim=True).clamp_min(1e-30))
    return search.found({"rate": rate, "start": "random tokens"})


def simplex(x: Tensor) -> Tensor:
    """The nearest point with entries ≥ 0 that sum to 1, along the last dimension (Duchi et al. 2008)."""
    ordered = x.sort(-1, descending=True).values
    excess = (ordered.cumsum(-1) - 1) / torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    last = ((ordered > excess).sum(-1, keepdim=True) - 1).clamp_min(0)
    return (x - excess.gather(-1, last)).clamp_min(0)
