"""Ring-A-Bell (arXiv 2310.10012): a prompt whose text states lie where the concept's lie, found without the denoiser.

    ĉ = mean(E(p⁺) − E(p⁻)),   min over hard tokens p'  ‖ E(p') − (E(p) + η ĉ) ‖

by a genetic search. Against the base it needs the text encoder alone. Against an edit of the matrices that read the
states, the distance is between what those make of the prompt and what the base's made of the target,
`Σ ‖ W'E(p') − W(E(p) + η ĉ) ‖²`, so that this attack too is made against the model it is run on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tracelang.engine.exact import exact
from tracelang.engine.seeds import generator
from tracelang.evidence.attacks.attack import EXAMPLES, SKIPPED, AttackError, Budget, Found, Target
from tracelang.evidence.attacks.common import frame, spelled, typed, vocabulary
from tracelang.evidence.attacks.reading import Reading, readings
from tracelang.models.protocol import Model
from tracelang.plan.prompts import canonical_phrase, edit_prompts

MUTATION = 0.25
BATCH = 256

Measure = Callable[[Tensor], Tensor]
"""ids `[m, L]` → coordinates `[m, D]` in which the squared distance is what the search makes small."""


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Starts from random tokens; each row has a population of its own."""
    words = model.prompt_encoder
    # Where no matrix reads the states alone, there is but the text encoder to measure by, as against the base.
    grams = {} if model is target.base else readings("ring_a_bell", target.base, model)
    asked = target.dealt(min(budget.rows, target.count))
    around = frame(words, target.prompts[0])
    known = vocabulary(words, around)
    measure, aims = _space(target, model, asked, budget.eta, grams)
    if not torch.isfinite(aims).all():
        raise AttackError("ring_a_bell: the target states are not finite; the text encoder cannot be used")
    g = generator("attack ring_a_bell", target.name, 0, target.seed)
    n, size, k = len(asked), budget.population, budget.tokens
    half = size // 2
    every = torch.arange(n)[:, None]

    def distances(tokens: Tensor) -> Tensor:
        found = measure(around.ids(known[tokens.flatten(0, 1)])).view(n, tokens.shape[1], -1)
        return (found - aims[:, None]).square().sum(-1)

    alive = torch.randint(len(known), (n, size, k), generator=g)
    costs = distances(alive)
    first = costs.mean(1)
    for _ in range(budget.generations):
        order = costs.argsort(dim=1, stable=True)[:, :half]
        alive, costs = alive[every, order], costs.gather(1, order)
        parents = torch.randint(half, (2, n, size - half), generator=g)
        cut = torch.randint(1, k + 1, (n, size - half, 1), generator=g)
        young = torch.where(torch.arange(k) < cut, alive[every, parents[0]], alive[every, parents[1]])
        fresh = torch.randint(len(known), young.shape, generator=g)
        young = torch.where(torch.rand(young.shape, generator=g) < MUTATION, fresh, young)
        alive, costs = torch.cat([alive, young], 1), torch.cat([costs, distances(young)], 1)
    order = costs.argsort(dim=1, stable=True)
    chosen, left, skipped = [], [], 0
    for i in range(n):
        ranked = around.ids(known[alive[i, order[i]]])
        able = typed(words, ranked)
        if target.guarded:
            drawable = torch.tensor(target.drawable(words.spell(ranked)))
            skipped += int((able & ~drawable).sum())
            able &= drawable
        if not able.any():
            why = f" or speaks of what is protected ({skipped} did)" if skipped else ""
            raise AttackError(f"ring_a_bell: no prompt of the last generation survives being typed{why}")
        best = int(able.int().argmax())
        chosen.append(ranked[best])
        left.append(float(costs[i, order[i, best]] / first[i].clamp_min(1e-30)))
    prompts = spelled(words, chosen)
    spent: dict[str, int | float | str] = {
        "access": "white box" if grams else "black box",
        "distance": "what the edited matrices read" if grams else "text states",
        "prompts": n,
        "tokens": k,
        "population": size,
        "generations": budget.generations,
        "eta": budget.eta,
        "encodings": n * (size + budget.generations * (size - half)),
        "evaluations": 0,
        "distance_left": sum(left) / n,
        **({SKIPPED: skipped} if skipped else {}),
    }
    rows = tuple(prompts[i % n] for i in range(target.count))
    return Found(rows, None, spent, None, tuple(dict.fromkeys(prompts))[:EXAMPLES])


@torch.no_grad()
def _space(
    target: Target, model: Model, asked: list[str], eta: float, grams: Mapping[str, Reading]
) -> tuple[Measure, Tensor]:
    """The coordinates of prompts, and the targets `[n, D]` in them."""
    base = target.base
    pairs = contrasts(target)
    plus, minus = (base.encode(list(side)).inputs for side in zip(*pairs, strict=True))
    aims = base.encode(asked).inputs
    names = list(grams) or list(aims)
    parts = []
    roots = {name: gram.root().float() for name, gram in grams.items()}
    for name in names:
        aim = aims[name].float().cpu() + eta * (plus[name].float() - minus[name].float()).mean(0).cpu()
        if grams:
            n, length, d = aim.shape
            inverse, _ = grams[name].inverse(exact(aim).view(-1, d), 0.0)
            aim = inverse.view(n, length, d).float() @ roots[name].T
        parts.append(aim.flatten(1))

    def measure(ids: Tensor) -> Tensor:
        rows = []
        for batch in torch.split(ids, BATCH):
            found = model.prompt_encoder.encode(batch).inputs
            states = {name: found[name].float().cpu() for name in names}
            rows.append(
                torch.cat([(states[name] @ roots[name].T if grams else states[name]).flatten(1) for name in names], 1)
            )
        return torch.cat(rows)

    return torch.no_grad()(measure), torch.cat(parts, 1)


def contrasts(target: Target) -> list[tuple[str, str]]:
    """Prompts with the concept and the same without it: in its place another that the plan names, or nothing."""
    plan = target.plan
    others = [one for kept in plan.preserve for one in kept.concepts]
    others += [name for erasure in plan.erase if erasure.targets == target.member for name in erasure.anchor or ()]
    others = [name for name in dict.fromkeys(others) if plan.concept(name).kind != "protected"]
    phrases = [canonical_phrase(plan, (name,)) for name in others if name not in target.member] or [""]
    return [
        (prompt.text, " ".join(prompt.text.replace(prompt.phrase, phrase).split()))
        for prompt in edit_prompts(plan, target.member)
        for phrase in phrases[:8]
    ]
