"""The closed form inside what preserved states cannot see: Double Projections, SPEED (docs/methods.md §4.3)."""

from __future__ import annotations

from typing import Any, Literal

import torch

from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.null_space import SAME, solve
from tracelang.engine.options import Options
from tracelang.engine.projection import Projected, projected
from tracelang.engine.text_map import Constraints, TextMap, reached, spectrum
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass
from tracelang.plan.types import Plan
from tracelang.semantics.passes.project import Project

needs: Literal["weights"] = "weights"
"""Those that `augment` asks for; without it no matrix is read."""


def run(part: BoundPass, plan: Plan, text: TextSide, edit: Edit, options: Options) -> Edit:
    """Raises `EngineError` where a phrase has no tokens, states are not finite, nothing is free, or a concept lies too
    near to what is preserved.
    """
    settings = part.settings
    assert isinstance(settings, Project)
    met, told = projected(settings, part.sites, plan, text, options)
    maps, measured = dict[str, TextMap](), dict[str, Any]()
    for name, one in met.items():
        _refuse(settings, name, one)
        maps[name] = T = solve(one.F, one.G, one.space, one.ridge)
        problem = Constraints(one.F, one.G, torch.ones(one.F.shape[1], dtype=one.F.dtype), one.P, one.w)
        measured[name] = {**one.figures, "ridge": one.ridge, **reached(problem, T), **spectrum(T)}
        measured[name]["largest_change"] = float(torch.linalg.matrix_norm(T.left, 2))
        if one.fixed.shape[1]:
            moved = (T.left @ (T.right.T @ one.fixed)).norm(dim=0) / one.fixed.norm(dim=0)
            measured[name]["invariants"] = {"held": one.fixed.shape[1], "worst_leak": float(moved.amax())}
    mapped = edit.mapped({site: maps[site.reads] for site in part.sites if site.reads is not None})
    return mapped.told(settings.label, measured, told)


def _refuse(settings: Project, name: str, one: Projected) -> None:
    concept, angle = min(one.figures["angle"].items(), key=lambda item: item[1])
    if angle > SAME and angle >= settings.least_angle:
        return
    d = one.figures["dimension"]
    raise EngineError(
        f"{settings.label}: of {d} directions of the text states ({name}) {one.space.free} are free of what is "
        f"preserved, and {concept!r} lies in them by a sine of {angle:.3f} "
        f"(`least_angle` is {settings.least_angle:g}); "
        "preserve less, or raise `threshold`"
    )
