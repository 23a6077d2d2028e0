"""MMA (arXiv 2311.17516), its text part: a prompt without the concept's words that the text encoder takes for it.

    max over hard tokens q  cos(E(q), E(p))

by greedy coordinate gradients (arXiv 2307.15043): the gradient at each token's place ranks what could stand there; of
many prompts with one token changed, the most similar goes on. The denoiser is never asked. Half of the rows compare the
pooled state, as the paper does; half the states behind the words, which are what a denoiser reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tracelang.engine.seeds import generator
from tracelang.evidence.attacks.attack import EXAMPLES, SKIPPED, AttackError, Budget, Found, Target
from tracelang.evidence.attacks.common import Frame, content, frame, spelled, typed, vocabulary
from tracelang.models.protocol import Model, PromptEncoder, TextStates
from tracelang.plan.prompts import edit_prompts
from tracelang.semantics.tables import ATTACKS

TOP = 64
"""So many tokens a place are tried (256 there, of 49,408)."""
BATCH = 256
FORMS = ("pooled", "states")

Alike = Callable[[TextStates, Tensor, Tensor], Tensor]
"""States and ids `[m, L]` of prompts, and which row each is for `[m]`; to the similarities `[m]`."""


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Searched once for each text encoder: models that share one, as base and edited model mostly do, get the same."""
    n = min(budget.rows, target.count)
    key = f"mma from {target.seed} by {model.encoders} for {target.plan.digest} with {budget}", n
    found = target.made.get(key)
    if not isinstance(found, Found):
        target.made[key] = found = searched(target, model, budget, n)
    assert found.prompts is not None
    rows = [i % n for i in range(target.count)]
    return replace(found, prompts=tuple(found.prompts[i] for i in rows), forms=tuple(found.forms[i] for i in rows))


def searched(target: Target, model: Model, budget: Budget, n: int) -> Found:
    """`n` rows, each from random tokens. Tokens of the concept's own names are not used."""
    words = model.prompt_encoder
    asked = target.dealt(n, len(FORMS))
    around = frame(words, target.prompts[0])
    k = min(budget.length, len(around.tail) - 1)  # as many as a prompt of this model holds beside its end
    known = usable(target, words, around)
    vectors = words.table[known.to(words.table.device)].float()
    alike, forms = similar(target, model, asked, around)
    g = generator("attack mma", target.name, 0, target.seed)
    tokens = torch.randint(len(known), (n, k), generator=g)
    every, top = torch.arange(n), min(TOP, len(known))
    best, most = around.ids(known[tokens]), torch.full((n,), -float("inf"))
    first, skipped = None, 0
    for _ in range(budget.iterations):
        pull, now = steepest(words, around, known[tokens], alike)
        first = now if first is None else first
        ranked = (pull @ vectors.T).topk(top, -1).indices.cpu()
        shape = (n, budget.candidates)
        place, rank = torch.randint(k, shape, generator=g), torch.randint(top, shape, generator=g)
        tried = tokens[:, None].repeat(1, budget.candidates, 1)
        tried.scatter_(2, place[..., None], ranked[every[:, None], place, rank][..., None])
        ids = around.ids(known[tried.flatten(0, 1)])
        scores = scored(words, ids, every.repeat_interleave(budget.candidates), alike)
        able = typed(words, ids)
        if target.guarded:
            drawable = torch.tensor(target.drawable(words.spell(ids)))
            skipped += int((able & ~drawable).sum())
            able &= drawable
        scores = torch.where(able, scores, -float("inf")).view(shape)
        high, which = scores.max(1)
        found = torch.isfinite(high)
        tokens = torch.where(found[:, None], tried[every, which], tokens)
        better = high > most
        best = torch.where(better[:, None], ids.view(*shape, -1)[every, which], best)
        most = torch.where(better, high, most)
    able = torch.isfinite(most)
    if not able.any():
        why = f" or speaks of what is protected ({skipped} did)" if skipped else ""
        raise AttackError(f"mma: none of the token sequences it tried survives being typed{why}")
    order = [i if able[i] else int(most.argmax()) for i in range(n)]
    prompts = spelled(words, [best[i] for i in order])
    spent: dict[str, int | float | str] = {
        "access": ATTACKS["mma"][0],
        "prompts": n,
        "tokens": k,
        "iterations": budget.iterations,
        "candidates": budget.candidates,
        "encodings": n * budget.iterations * (budget.candidates + 1),
        "evaluations": 0,
        "similarity_first": float(first.mean()) if first is not None else 0.0,
        "similarity_best": float(most[able].mean()),
        **({SKIPPED: skipped} if skipped else {}),
    }
    ranked_rows = sorted(dict.fromkeys(order), key=lambda i: -float(most[i]))
    return Found(
        tuple(prompts),
        None,
        spent,
        None,
        tuple(prompts[order.index(i)] for i in ranked_rows[:EXAMPLES]),
        tuple(forms[order[i]] for i in range(n)),
    )


def usable(target: Target, words: PromptEncoder, around: Frame) -> Tensor:
    """Ids of the tokens that a typed prompt can hold, but for those of the concept's own names."""
    known = vocabulary(words, around)
    names = [text for name in target.member for text in target.plan.concept(name).names]
    own = torch.cat([content(words, text) for text in names])
    free = known[~torch.isin(known, own)]
    if not len(free):
        raise AttackError("mma: the tokenizer has no words but the concept's own")
    return free


def steepest(words: PromptEncoder, around: Frame, tokens: Tensor, alike: Alike) -> tuple[Tensor, Tensor]:
    """The gradient of the similarity by the embeddings of `tokens [n, k]`, those alone, `[n, k, d]`; and it `[n]`."""
    ids, n = around.ids(tokens), len(tokens)
    start, end = around.start, around.start + tokens.shape[1]
    pulls, found = [], []
    for rows in torch.split(torch.arange(n), max(1, BATCH // 8)):
        held = words.table[ids[rows].to(words.table.device)]
        leaf = held[:, start:end].float().detach().requires_grad_()
        full = torch.cat([held[:, :start], leaf.to(held.dtype), held[:, end:]], 1)
        now = alike(words.encode(ids[rows], full), ids[rows], rows)
        (pull,) = torch.autograd.grad(now.sum(), leaf)
        pulls.append(pull)
        found.append(now.detach().cpu())
    pull = torch.cat(pulls)
    if not torch.isfinite(pull).all():
        raise AttackError("mma: the text encoder's states or their gradient are not finite; it cannot be used")
    return pull, torch.cat(found)


@torch.no_grad()
def scored(words: PromptEncoder, ids: Tensor, rows: Tensor, alike: Alike) -> Tensor:
    """Similarities `[m]` of prompts of ids `[m, L]`, each to its row's aim."""
    parts = zip(torch.split(ids, BATCH), torch.split(rows, BATCH), strict=True)
    return torch.cat([alike(words.encode(part), part, own).cpu() for part, own in parts])


def similar(target: Target, model: Model, asked: list[str], around: Frame) -> tuple[Alike, tuple[str, ...]]:
    """The cosine to the base's states of the prompts `asked`, and of what: of the pooled state in even rows (of a model
    without one, of the state at the end), in odd ones of the states behind the words, on average. An encoder that reads
    both ways has no states behind the words: there it is the mean of the words' states and the pooled one in every row.
    """
    words = model.prompt_encoder
    with torch.no_grad():
        aims = target.base.encode(asked)
    causal = model.layout(edit_prompts(target.plan, target.member)[0]).causal
    last = ends(words, around, words.tokens(asked))

    def alike(states: TextStates, ids: Tensor, rows: Tensor) -> Tensor:
        aim, tokens = aims.rows(rows), states.inputs["tokens"].float()
        own, theirs = ends(words, around, ids).to(tokens.device), last[rows].to(tokens.device)
        wanted = aim.inputs["tokens"].to(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        every = torch.arange(len(tokens), device=tokens.device)
        if not causal:
            mine, aimed = (_mean(part, places < end[:, None]) for part, end in ((tokens, own), (wanted, theirs)))
            found = [cosine_similarity(mine, aimed, dim=-1)]
            if "pooled" in states.inputs:
                found.append(_pooled(states, aim))
            return torch.stack(found).mean(0)
        behind = places >= torch.maximum(own, theirs)[:, None]
        by_states = (cosine_similarity(tokens, wanted, dim=-1) * behind).sum(1) / behind.sum(1)
        if "pooled" in states.inputs:
            by_pooled = _pooled(states, aim)
        else:
            by_pooled = cosine_similarity(tokens[every, own], wanted[every, theirs], dim=-1)
        return torch.where((rows % 2 == 0).to(tokens.device), by_pooled, by_states)

    return alike, tuple(FORMS[i % 2] if causal else "words" for i in range(len(asked)))


def ends(words: PromptEncoder, around: Frame, ids: Tensor) -> Tensor:
    """Where each row's end token stands, `[n]`."""
    return around.start + words.free[ids].sum(1)


def _mean(states: Tensor, counted: Tensor) -> Tensor:
    return (states * counted[..., None]).sum(1) / counted.sum(1, keepdim=True).clamp_min(1)


def _pooled(states: TextStates, aim: TextStates) -> Tensor:
    found = states.inputs["pooled"][:, 0].float()
    return cosine_similarity(found, aim.inputs["pooled"][:, 0].to(found), dim=-1)
