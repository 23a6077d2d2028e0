"""Several concepts' adapters become one edit, by the closed form with shared Grams (METHODS.md §1.4).

    W* = [W' Σ S_i + Σ Δ_i S_i + λ₂ W P_G + λ W'] C⁻¹,   C = Σ S_i + λ₂ P_G + λ I,   S_i = E_i E_iᵀ

With `W' = W T`, `Δ_i = B_i D_i` and `M = Σ S_i + λ I` this stays low-rank:

    W* − W = W (T − I) M C⁻¹ + Σ_i B_i (D_i S_i C⁻¹).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.edit import Adapter, Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.low_rank import LowRank, add
from tracelang.engine.protocol import TextSide
from tracelang.engine.statements import states
from tracelang.engine.text_map import TextMap, orthonormal
from tracelang.plan.family import Site
from tracelang.plan.prompts import EMPTY, Prompt, edit_prompts
from tracelang.plan.types import FusePass, Member, Plan


@dataclass(frozen=True, slots=True)
class Grams:
    """Per erasure, by its targets, `S_i = E_i E_iᵀ`, the preserved `P_G = Σ w p pᵀ`, all `[d, d]` in float64."""

    S: Mapping[Member, Tensor]
    P: Tensor


@dataclass(frozen=True, slots=True)
class Fusion:
    """`C = L Lᵀ`, with `M` and the `S_i` that its numerators need."""

    L: Tensor
    M: Tensor
    S: Mapping[Member, Tensor]

    def text_map(self, text_map: TextMap) -> TextMap:
        """`I + (T − I) M C⁻¹`."""
        return orthonormal(text_map.left, torch.cholesky_solve(self.M @ text_map.right, self.L))

    def adapter(self, targets: Sequence[Member], change: LowRank) -> LowRank:
        """`B_i (D_i S_i C⁻¹)`; of an adapter fused before, `S_i` is the sum over all that it stands for."""
        S = torch.stack([self.S[member] for member in targets]).sum(0)
        return LowRank(change.up, torch.cholesky_solve(S @ change.down.T, self.L).T)


def fusion(grams: Grams, ridge: float, keep_weight: float) -> Fusion:
    """Factor `C` once. `ridge` is relative to the mean eigenvalue of `Σ S_i`."""
    total = torch.stack([grams.S[targets] for targets in sorted(grams.S)]).sum(0)
    λ = ridge * float(total.trace()) / len(total)
    M = total + λ * torch.eye(len(total), dtype=total.dtype)
    L, failed = torch.linalg.cholesky_ex(M + keep_weight * grams.P)
    if failed or not torch.isfinite(L).all():
        raise EngineError(f"fuse: the text states are too nearly dependent for a ridge of {λ:.3g}; raise the ridge")
    return Fusion(L, M, grams.S)


def fuse(plan: Plan, settings: FusePass, text: TextSide, edit: Edit) -> Edit:
    """The edit with its adapters fused into one. One adapter alone has nothing to be reconciled with and passes.

    Raises `EngineError` where a site's input is mixed with image content: there no Gram of text states is exact.
    """
    if len(edit.adapters) < 2:
        return edit
    sites = list(dict.fromkeys(site for adapter in edit.adapters for site in adapter.factors))
    for site in sites:
        if site.reads is None:
            raise EngineError(f"fuse: {site.tensor} does not read prompt states alone, so its adapters cannot be fused")
    inputs = dict.fromkeys(site.reads for site in sites if site.reads is not None)
    grams = measure(plan, text, inputs)
    of = {name: fusion(grams[name], settings.ridge, settings.keep_weight) for name in inputs}
    maps, done = {}, dict[tuple[int, str], TextMap]()
    for site, text_map in edit.maps.items():
        if site in sites and site.reads is not None:
            name = id(text_map), site.reads
            done[name] = done.get(name) or of[site.reads].text_map(text_map)
            text_map = done[name]
        maps[site] = text_map
    factors = {site: add(_parts(edit.adapters, site, of)) for site in sites}
    targets = tuple(dict.fromkeys(member for adapter in edit.adapters for member in adapter.targets))
    label = ", ".join(dict.fromkeys(adapter.label for adapter in edit.adapters))
    figures = {**edit.figures, settings.label: {"fused": len(edit.adapters)}}
    return Edit(maps, (Adapter(targets, label, factors),), edit.gate, figures)


def measure(plan: Plan, text: TextSide, inputs: Sequence[str] | Mapping[str, None]) -> dict[str, Grams]:
    """Each text input's Grams: every state after the start token, and of the empty prompt every state."""
    S = {erasure.targets: _gram(text, edit_prompts(plan, erasure.targets)) for erasure in plan.active}
    P = [(_gram(text, [EMPTY], everything=True), 1.0)]
    P += [(_gram(text, edit_prompts(plan, one.concepts)), one.weight) for one in plan.preserve]
    return {
        name: Grams(
            {concept: gram[name] for concept, gram in S.items()}, torch.stack([w * gram[name] for gram, w in P]).sum(0)
        )
        for name in inputs
    }


def _gram(text: TextSide, prompts: Sequence[Prompt], everything: bool = False) -> dict[str, Tensor]:
    result = {}
    start = 0 if everything else min(text.layout(prompt).start for prompt in prompts)
    for name, e in states(text, prompts).items():
        rows = (e[:, start:] if e.shape[1] > 1 else e).flatten(0, 1)
        result[name] = rows.T @ rows
    return result


def _parts(adapters: Sequence[Adapter], site: Site, of: Mapping[str, Fusion]) -> list[LowRank]:
    assert site.reads is not None
    fused = of[site.reads]
    return [fused.adapter(adapter.targets, adapter.factors[site]) for adapter in adapters if site in adapter.factors]
