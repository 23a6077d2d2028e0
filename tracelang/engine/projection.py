"""What a projection starts from: which directions of the text states are free of what is preserved, and how near to
them the erased states lie (docs/methods.md §4.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tracelang.engine.exact import exact
from tracelang.engine.null_space import NullSpace, null_space, solve
from tracelang.engine.options import Options
from tracelang.engine.prior import held
from tracelang.engine.statements import columns, erased_rows, held_columns, states
from tracelang.engine.text_map import TextMap
from tracelang.models.protocol import TextSide
from tracelang.plan.family import Site
from tracelang.plan.prompts import EMPTY, edit_prompts
from tracelang.plan.types import Plan
from tracelang.semantics.passes.project import Project
from tracelang.text import joined

CLOSE = 50
"""Rounds of k-means at most; a few suffice."""


@dataclass(frozen=True, slots=True)
class Projected:
    """Of one text input: erased columns and their targets, preserved columns and weights as they are stated, those of
    the empty prompt that are `fixed` in its place, the ridge `ρ`, what is free, and the `figures` that say how much.
    """

    F: Tensor
    G: Tensor
    P: Tensor
    w: Tensor
    fixed: Tensor
    ridge: float
    space: NullSpace
    figures: Mapping[str, Any]


def projected(
    settings: Project, sites: Sequence[Site], plan: Plan, text: TextSide, options: Options
) -> tuple[dict[str, Projected], list[dict[str, Any]]]:
    """What a projection starts from, by text input, and what its priors hold. The same for every pass that asks."""
    inputs = list(dict.fromkeys(site.reads for site in sites if site.reads is not None))
    statements = erased_rows(plan, plan.active, text, inputs, settings.tokens)
    names = [joined(erasure.targets) for erasure in plan.active]
    prompts = sum(len(edit_prompts(plan, erasure.targets)) for erasure in plan.active)
    P, w = held_columns(plan, plan.preserve, text, inputs, settings.preserved_tokens == "last")
    nothing = states(text, [EMPTY])
    priors, told = held(plan, text, options)
    found = {}
    for name in inputs:
        F = {concept: before[name].T for concept, (before, _) in zip(names, statements, strict=True)}
        G, erased = columns([after[name] for _, after in statements]), torch.cat(list(F.values()), 1)
        empty = nothing[name][0].T
        ρ = _Ridge(settings, erased, prompts)
        kept, weights = P[name], w[name]
        if name in priors:
            kept = torch.cat([kept.T, priors[name].rows.to(kept)]).T
            weights = torch.cat([weights, priors[name].weights])
        if settings.invariants:
            kept, weights = kept[:, empty.shape[1] :], weights[empty.shape[1] :]
        space, looked = NullSpace(empty[:, :0]), kept.shape[1]
        if settings.filter or settings.augment:
            T0 = solve(erased, G, space, ρ.of(space))
            kept, weights = _chosen(settings, T0, kept, weights, sites, name, options)
        if kept.shape[1]:
            absolute = settings.threshold_absolute
            limit = settings.threshold if absolute is None else absolute
            space = null_space(kept, weights, limit, absolute is not None)
        fixed = _invariants(empty, settings) if settings.invariants else empty[:, :0]
        if settings.invariants:
            space = space.beside(fixed)
        figures = {
            "dimension": len(empty),
            "free": space.free,
            "held_states": kept.shape[1],
            "of_states": looked,
            "angle": {concept: space.angle(own) for concept, own in F.items()},
        }
        found[name] = Projected(erased, G, P[name], w[name], fixed, ρ.of(space), space, figures)
    return found, told


@dataclass(frozen=True, slots=True)
class _Ridge:
    settings: Project
    F: Tensor
    prompts: int

    def of(self, space: NullSpace) -> float:
        """`ρ`: relative to `tr(FᵀPF)/n`, or the release's, which takes the mean over prompts of `f fᵀ`."""
        if self.settings.ridge_absolute is not None:
            return self.settings.ridge_absolute * self.prompts
        return self.settings.ridge * float(space.project(self.F).square().sum()) / self.F.shape[1]


def _chosen(
    settings: Project, T0: TextMap, P: Tensor, w: Tensor, sites: Sequence[Site], name: str, options: Options
) -> tuple[Tensor, Tensor]:
    """The preserved columns that an edit without them would move by more than `filter` times their mean, and of their
    noisy copies along the direction that the matrices read least, those that it would move by more than the mean.
    """

    def moved(X: Tensor) -> Tensor:
        change: Tensor = (T0.left @ (T0.right.T @ X)).norm(dim=0)
        return change

    P = exact(P)
    if settings.filter:
        change = moved(P)
        stay = change > settings.filter * change.mean()
        P, w = P[:, stay], w[stay]
    if settings.augment and P.shape[1]:
        draws = torch.Generator().manual_seed(settings.seed)
        z = torch.randn(settings.augment * P.shape[1], generator=draws, dtype=P.dtype)
        copies = P.repeat(1, settings.augment) + _blind(sites, name, options)[:, None] * z
        change = moved(copies)
        stay = change > change.mean()
        P, w = torch.cat([P, copies[:, stay]], 1), torch.cat([w, w.repeat(settings.augment)[stay]])
    return P, w


def _blind(sites: Sequence[Site], name: str, options: Options) -> Tensor:
    """The unit direction `[d]` that the matrices of an input pass least of: `Σ WᵀW` has its least eigenvalue there."""
    H: Tensor | None = None
    for site in sites:
        if site.reads == name:
            W = exact(options.weight(site))[:, site.part]
            H = W.T @ W if H is None else H.addmm_(W.T, W)
    assert H is not None
    found: Tensor = torch.linalg.eigh(H).eigenvectors
    return found[:, 0]


def _invariants(empty: Tensor, settings: Project) -> Tensor:
    """Of the empty prompt's states `[d, L]` the first, and so many centres of the others by k-means."""
    others = empty[:, 1:].T
    k = min(settings.invariants, len(others))
    if not k:
        return empty[:, :1]
    draws = torch.Generator().manual_seed(settings.seed)
    centres = others[torch.randperm(len(others), generator=draws)[:k]]
    for _ in range(CLOSE):
        nearest = torch.cdist(others, centres).argmin(1)
        means = torch.stack([others[nearest == i].mean(0) if (nearest == i).any() else centres[i] for i in range(k)])
        if torch.equal(means, centres):
            break
        centres = means
    return torch.cat([empty[:, :1], centres.T], 1)
