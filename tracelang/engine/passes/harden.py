"""Rounds that search the states which still bring the concepts back, and erase them: RECE (docs/methods.md §4.1).

The search and the erasure need three `d × d` matrices an input, `H = Σ WᵀW`, `H' = Σ W'ᵀW'` and `X = Σ W'ᵀW` over the
layers that read it, with the current `W'`, whatever made them. A round is a right map `T`, and takes `H'` to `Tᵀ H' T`
and `X` to `Tᵀ X`: the matrices are read once, however many rounds there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.null_space import NullSpace
from tracelang.engine.options import Options
from tracelang.engine.prior import held
from tracelang.engine.projection import projected
from tracelang.engine.statements import columns, erased_rows, held_columns
from tracelang.engine.text_map import Constraints, TextMap, beside, reached, solve, spectrum
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass
from tracelang.plan.family import Site
from tracelang.plan.layers import select
from tracelang.plan.types import Plan
from tracelang.semantics.passes.harden import Harden
from tracelang.semantics.passes.project import Project

needs: Literal["weights"] = "weights"


@dataclass(frozen=True, slots=True)
class Reading:
    """Of all layers that read one input `H = Σ WᵀW`, `H' = Σ W'ᵀW'`, `X = Σ W'ᵀW`, `[d, d]` in float64."""

    H: Tensor
    now: Tensor
    cross: Tensor

    def closest(self, F: Tensor, penalty: float) -> Tensor:
        """`e' = argmin Σ ‖W'e' − We‖² + λ‖e'‖²` of every column `[d, n]`. Raises `EngineError` where λ is too small."""
        S = self.now.clone()
        S.diagonal().add_(penalty)
        L, failed = torch.linalg.cholesky_ex(S)
        if failed or not torch.isfinite(L.diagonal()).all():
            raise EngineError(f"harden: the matrices are too nearly dependent for a penalty of {penalty:.3g}; raise it")
        return torch.cholesky_solve(self.cross @ F, L)

    def left(self, F: Tensor, E: Tensor, penalty: float) -> float:
        """What `closest` leaves of its objective, relative to `Σ ‖We‖²`."""
        whole = float((F * (self.H @ F)).sum())
        found = float((E * (self.now @ E)).sum()) - 2 * float((E * (self.cross @ F)).sum()) + whole
        return (found + penalty * float(E.square().sum())) / whole if whole else 0.0

    def after(self, T: TextMap) -> Reading:
        """Of the layers under a right map on top."""
        dense = T.dense()
        return Reading(self.H, dense.T @ self.now @ dense, dense.T @ self.cross)


def run(part: BoundPass, plan: Plan, text: TextSide, edit: Edit, options: Options) -> Edit:
    """Raises `EngineError` where a phrase has no tokens, states are not finite, or a system is singular."""
    settings = part.settings
    assert isinstance(settings, Harden)
    inputs = list(dict.fromkeys(site.reads for site in part.sites if site.reads is not None))
    spaces = _spaces(part, plan, text, options)
    whole = [erasure.model_copy(update={"degree": 1.0}) for erasure in plan.active]
    rows = erased_rows(plan, whole, text, inputs, settings.tokens)
    P, w = held_columns(plan, plan.preserve, text, inputs)
    priors, told = held(plan, text, options)
    maps, measured = dict[str, TextMap](), dict[str, Any]()
    for name in inputs:
        F, G = (columns([pair[side][name] for pair in rows]) for side in (0, 1))
        parts = [
            torch.full((len(before[name]),), erasure.degree, dtype=F.dtype)
            for erasure, (before, _) in zip(plan.active, rows, strict=True)
        ]
        problem = Constraints(F, G, torch.ones_like(F[0]), P[name], settings.keep_weight * w[name])
        reading = read(edit, [site for site in part.sites if site.reads == name], options)
        extra = priors.get(name)
        held_too = problem if extra is None else beside(problem, extra.rows, settings.keep_weight * extra.weights)
        maps[name], measured[name] = _rounds(settings, reading, held_too, torch.cat(parts), spaces.get(name))
        measured[name] |= spectrum(maps[name]) | {"prior": extra.figures(maps[name])} if extra else spectrum(maps[name])
    mapped = edit.mapped({site: maps[site.reads] for site in part.sites if site.reads is not None})
    return mapped.told(settings.label, measured, told)


def read(edit: Edit, sites: Sequence[Site], options: Options) -> Reading:
    """The three sums, one matrix at a time; what a site does not edit of its columns takes no part."""
    sums: list[Tensor] = []
    for site in sites:
        W = exact(options.weight(site))
        now = exact(edit.patched(site, W))[:, site.part]
        W = W[:, site.part]
        more = [W.T @ W, now.T @ now, now.T @ W]
        sums = [one.add_(other) for one, other in zip(sums, more, strict=True)] if sums else more
    return Reading(*sums)


def _rounds(
    settings: Harden, reading: Reading, problem: Constraints, degree: Tensor, space: NullSpace | None
) -> tuple[TextMap, dict[str, Any]]:
    """All rounds of one input, and of each what it found; at the end what another would find."""
    d = len(problem.F)
    absolute = settings.penalty_absolute
    λ = settings.penalty * float(reading.H.trace()) / d if absolute is None else absolute
    T = TextMap(problem.F[:, :0], problem.F[:, :0])
    found = []
    for number in range(settings.rounds + 1):
        E = reading.closest(problem.F, λ)
        price = float(E.norm()) / max(float(problem.F.norm()), 1e-300)
        found.append({"price": price, "residual": reading.left(problem.F, E, λ)})
        if number < settings.rounds:
            later = _erase(settings, replace(problem, F=E, G=E + degree * (problem.G - E)), space)
            T, reading = T.then(later), reading.after(later)
            told = reached(problem, T)
            found[-1] |= {"leak": told["leak"], "worst_leak": told["worst_leak"]}
    return T, {"penalty": λ, "rounds": found[:-1], "left": found[-1]}


def _erase(settings: Harden, problem: Constraints, space: NullSpace | None) -> TextMap:
    """`T` for the found states. In a projector's free space, if there is one, `(T − I)F` depends on `PF` alone and what
    is held exactly stays so.
    """
    absolute = settings.ridge_absolute
    ridge = settings.ridge if absolute is None else absolute
    if space is None:
        return solve(problem, ridge, absolute is not None, settings.label).map
    F, P = space.project(problem.F), space.project(exact(problem.P))
    inside = replace(problem, F=F, G=problem.G - problem.F + F, P=P)
    T = solve(inside, ridge, absolute is not None, settings.label).map
    return TextMap(T.left, space.project(T.right))


def _spaces(part: BoundPass, plan: Plan, text: TextSide, options: Options) -> Mapping[str, NullSpace]:
    """What the last `project` pass before this one holds, by text input: its rounds hold that too."""
    before = plan.method.passes[: plan.method.passes.index(part.settings)]
    steps = [step for step in before if isinstance(step, Project)]
    if not steps:
        return {}
    sites = select(steps[-1].on, text.sites)
    return {name: one.space for name, one in projected(steps[-1], sites, plan, text, options)[0].items()}
