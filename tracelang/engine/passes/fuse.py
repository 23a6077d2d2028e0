"""Several concepts' adapters become one edit, by the closed form with shared Grams (docs/methods.md §2.6).

    W* = [W' Σ S_i + Σ Δ_i S_i + λ₂ W P_G + λ W'] C⁻¹,   C = Σ S_i + λ₂ P_G + λ I,   S_i = E_i E_iᵀ

With `W' = W T`, `Δ_i = B_i D_i` and `M = Σ S_i + λ I` this stays low-rank:

    W* − W = W (T − I) M C⁻¹ + Σ_i B_i (D_i S_i C⁻¹).

Where a layer's input is mixed with image and time, `S_i` is measured while the model samples concept i with its own
adapter alone, and `P_G` while the original samples what is preserved (`activations`). Of a concept nothing is kept
there but `D_i S_i`, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from tracelang.engine.activations import inputs
from tracelang.engine.edit import Adapter, Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.low_rank import LowRank, add
from tracelang.engine.options import Options
from tracelang.engine.prior import held
from tracelang.engine.statements import states
from tracelang.engine.text_map import TextMap, orthonormal
from tracelang.models.protocol import Model
from tracelang.plan.bind import BoundPass
from tracelang.plan.family import Site
from tracelang.plan.prompts import EMPTY, Prompt, edit_prompts
from tracelang.plan.types import Member, Plan
from tracelang.semantics.passes.fuse import Fuse, groups

needs: Literal["text", "model"] = "text"
"""There are adapters only where an earlier pass had the model."""
CALIBRATE = "calibrate"
"""What seeds of these trajectories are drawn for: no training shares them."""


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


def fusion(found: Grams, ridge: float, keep_weight: float) -> Fusion:
    """Factor `C` once. `ridge` is relative to the mean eigenvalue of `Σ S_i`."""
    total = torch.stack([found.S[targets] for targets in sorted(found.S)]).sum(0)
    λ = ridge * float(total.trace()) / len(total)
    M = total + λ * torch.eye(len(total), dtype=total.dtype)
    return Fusion(_factor(M + keep_weight * found.P, λ), M, found.S)


def _factor(C: Tensor, λ: float) -> Tensor:
    L: Tensor
    L, failed = torch.linalg.cholesky_ex(C)
    if failed or not torch.isfinite(L.diagonal()).all():
        raise EngineError(f"fuse: the states are too nearly dependent for a ridge of {λ:.3g}; raise the ridge")
    return L


def run(part: BoundPass, plan: Plan, model: Model, edit: Edit, options: Options) -> Edit:
    """The edit with its adapters fused into one. One adapter alone has nothing to be reconciled with and passes.

    Raises `EngineError` where a system is singular. The model is afterwards what it was.
    """
    settings = part.settings
    assert isinstance(settings, Fuse)
    if len(edit.adapters) < 2:
        return edit
    sites = list(dict.fromkeys(site for adapter in edit.adapters for site in adapter.factors))
    names = dict.fromkeys(site.reads for site in sites if site.reads is not None)
    read = {
        name: fusion(found, settings.ridge, settings.keep_weight)
        for name, found in (_beside_priors(plan, model, measure(plan, model, names), options) if names else {}).items()
    }
    of = {site: read[site.reads] for site in sites if site.reads is not None}
    maps, fused = {}, dict[TextMap, TextMap]()
    for site, text_map in edit.maps.items():
        if site in sites:
            fused[text_map] = fused.get(text_map) or of[site].text_map(text_map)
            text_map = fused[text_map]
        maps[site] = text_map
    factors = {site: add(_parts(edit.adapters, site, found)) for site, found in of.items()}
    mixed = {site: site.shape[1] for site in sites if site.reads is None}
    for together in groups(mixed):
        factors |= _mixed(plan, settings, model, edit, together, options)
    factors = {site: factors[site] for site in sites}
    targets = tuple(dict.fromkeys(member for adapter in edit.adapters for member in adapter.targets))
    label = ", ".join(dict.fromkeys(adapter.label for adapter in edit.adapters))
    figures = {**edit.figures, settings.label: {"fused": len(edit.adapters)}}
    return replace(edit, maps=maps, adapters=(Adapter(targets, label, factors),), figures=figures)


def measure(plan: Plan, model: Model, inputs: Sequence[str] | Mapping[str, None]) -> dict[str, Grams]:
    """Each text input's Grams: every state after the start token, and of the empty prompt every state."""
    S = {erasure.targets: _gram(model, edit_prompts(plan, erasure.targets)) for erasure in plan.active}
    P = [(_gram(model, [EMPTY], everything=True), 1.0)]
    P += [(_gram(model, edit_prompts(plan, one.concepts)), one.weight) for one in plan.preserve]
    return {
        name: Grams(
            {concept: gram[name] for concept, gram in S.items()}, torch.stack([w * gram[name] for gram, w in P]).sum(0)
        )
        for name in inputs
    }


def _beside_priors(plan: Plan, model: Model, found: Mapping[str, Grams], options: Options) -> dict[str, Grams]:
    """The Grams with those of the plan's priors among the preserved."""
    priors, _ = held(plan, model, options)
    return {name: Grams(one.S, one.P + priors[name].gram()) if name in priors else one for name, one in found.items()}


def _gram(model: Model, prompts: Sequence[Prompt], everything: bool = False) -> dict[str, Tensor]:
    result = {}
    start = 0 if everything else min(model.layout(prompt).start for prompt in prompts)
    for name, e in states(model, prompts).items():
        rows = (e[:, start:] if e.shape[1] > 1 else e).flatten(0, 1)
        result[name] = rows.T @ rows
    return result


def _mixed(
    plan: Plan, settings: Fuse, model: Model, edit: Edit, sites: Sequence[Site], options: Options
) -> dict[Site, LowRank]:
    """The fused change of sites whose input is mixed; those that read one tensor share its Gram."""
    first: dict[Site, Site] = {}
    C: dict[Site, Tensor] = {}
    DS: dict[tuple[int, Site], Tensor] = {}
    for erasure in plan.active:
        own = [i for i, adapter in enumerate(edit.adapters) if erasure.targets in adapter.targets]
        patch = Edit(edit.maps, tuple(edit.adapters[i] for i in own)).to(model)
        try:
            seen = inputs(model, sites, [(edit_prompts(plan, erasure.targets), 1.0)], CALIBRATE, options.progress)
        finally:
            patch.undo()
        first = seen.first
        for i in own:
            for site in first.keys() & edit.adapters[i].factors.keys():
                DS[i, site] = edit.adapters[i].factors[site].down @ seen.of(site) + DS.get((i, site), 0)
        for site, S in seen.gram.items():
            C[site] = C[site].add_(S) if site in C else S
    kept = [([EMPTY], 1.0), *((edit_prompts(plan, one.concepts), one.weight) for one in plan.preserve)]
    P = inputs(model, sites, kept, CALIBRATE, options.progress).gram
    factors: dict[Site, LowRank] = {}
    for read in list(C):
        S = C.pop(read)
        λ = settings.ridge * float(S.trace()) / len(S)
        S.diagonal().add_(λ)
        L = _factor(S.add_(P.pop(read), alpha=settings.keep_weight), λ)
        for site in (site for site in sites if first[site] == read):
            parts = [
                (edit.adapters[i].factors[site].up, DS[i, site]) for i in range(len(edit.adapters)) if (i, site) in DS
            ]
            factors[site] = add([LowRank(up, torch.cholesky_solve(part.T, L).T) for up, part in parts])
    return factors


def _parts(adapters: Sequence[Adapter], site: Site, fused: Fusion) -> list[LowRank]:
    own = [(adapter.targets, adapter.factors[site]) for adapter in adapters if site in adapter.factors]
    parts = [fused.adapter(targets, change.narrowed(site.part)) for targets, change in own]
    return [change.widened(site.part, site.shape[1]) for change in parts]
