"""P4D (arXiv 2309.06135): a prompt for which the edited model predicts what the base predicted for the concept.

    min over hard tokens p'  ‖ pred_edited(x_t, p') − pred_base(x_t, p) ‖²

The tokens are optimised as PEZ does (arXiv 2302.03668): the gradient is taken at the nearest tokens and applied to soft
embeddings. A free prompt of N tokens (P4D-N), on latents of the concept noised to several levels.
"""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from tracelang.engine.seeds import generator
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.evidence.attacks.common import Search, answers, content, frame, views, vocabulary
from tracelang.models.protocol import Model

RATE = 0.3  # of the embeddings' own spread


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Starts from random tokens, a row each."""
    words = model.prompt_encoder
    n = min(budget.rows, target.count)
    around = frame(words, target.prompts[0])
    known = vocabulary(words, around)
    vectors = words.table[known.to(words.table.device)].float()
    g = generator("attack p4d start", target.name, 0, target.seed)
    start = torch.randint(len(known), (n, budget.tokens), generator=g)
    seen = answers(target.base, views(target, model, "p4d", n, budget.views), target.base.encode(target.dealt(n)))
    search = Search("p4d", model, seen, around, [content(words, "")] * n, target)
    soft = vectors[start].clone()
    rate = RATE if budget.rate is None else budget.rate
    adam = torch.optim.AdamW([soft], lr=rate * float(vectors.std()), weight_decay=0.1)
    for _ in range(budget.iterations):
        nearest = (normalize(soft, dim=-1) @ normalize(vectors, dim=-1).T).argmax(-1)
        soft.grad = search.try_(known[nearest.cpu()])
        adam.step()
    return search.found({"rate": rate, "start": "random tokens"}, base=n * len(seen))
