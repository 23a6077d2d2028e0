from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tracelang.engine.attention import chosen, columns, middle
from tracelang.engine.looking import Asking
from tracelang.models.protocol import Attended, TokenLayout
from tracelang.plan.prompts import Prompt
from tracelang.semantics.terms.contrast import Contrast


def tokens(term: Contrast, layout: TokenLayout) -> tuple[int, ...]:
    """The phrase's own."""
    return layout.phrase


def asks(term: Contrast, ask: Asking, prompts: Sequence[Prompt]) -> list[Sequence[Prompt]]:
    """For each trajectory the same prompt with another name of the concept, then prompts of `unrelated` members of what
    is preserved: each in turn, so that all have theirs.
    """
    task, others = ask.task, ask.task.unrelated
    found: list[Sequence[Prompt]] = [[task.synonyms[prompt.text] for prompt in prompts]]
    for k in range(term.unrelated):
        members = [others[(i * term.unrelated + k) % len(others)] for i in range(len(prompts))]
        found.append([member[i % len(member)] for i, member in enumerate(members)])
    return found


def told(term: Contrast, ask: Asking, asks: Sequence[Sequence[Prompt]]) -> Tensor:
    """The features of synonym and unrelated `[n, S, 1 + K, Q]`, where the concept's own trajectories go."""
    side = ask.model.latents.drawn[1]

    def of(layers: Sequence[Attended], row: int, phrase: Sequence[int]) -> Tensor:
        return feature(term, middle(chosen(layers, term.blocks), side), row, phrase)

    return torch.stack([ask.read(prompts, of) for prompts in asks], 2)


def feature(term: Contrast, layers: Sequence[Attended], row: int, phrase: Sequence[int]) -> Tensor:
    """`f [Q]`, of length 1: what each place gives the phrase, the mean over its tokens, over heads and over layers."""
    maps = []
    for one in layers:
        A = columns(one, row, phrase).mean(2)
        maps.append(A[0] if term.heads == "first" else A.mean(0))
    return normalize(torch.stack(maps).mean(0), dim=0)


def error(term: Contrast, layers: Sequence[Attended], row: int, tokens: Sequence[int], told: Tensor) -> Tensor:
    """`−log( Σ_k e^{f·f_k/τ} / (e^{f·f_syn/τ} + Σ_k e^{f·f_k/τ}) )`: nearer to what is unrelated, farther from the
    synonym (docs/methods.md §3.8).
    """
    here = [one for one in chosen(layers, term.blocks) if one.rows * one.columns == told.shape[-1]]
    f = feature(term, here, row, tokens)
    alike = told.to(f.device) @ f / term.temperature
    return alike.logsumexp(0) - alike[1:].logsumexp(0)
