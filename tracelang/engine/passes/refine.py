"""The closed form on top of an edit: one map and one factorisation per text input, however many matrices read it."""

from __future__ import annotations

from typing import Any, Literal

from tracelang.engine.edit import Edit
from tracelang.engine.options import Options
from tracelang.engine.prior import held
from tracelang.engine.statements import constraints
from tracelang.engine.text_map import TextMap, beside, fit, solve, spectrum
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass
from tracelang.plan.types import Plan
from tracelang.semantics.passes.refine import Refine

needs: Literal["text", "model"] = "text"


def run(part: BoundPass, plan: Plan, text: TextSide, edit: Edit, options: Options) -> Edit:
    """Raises `EngineError` where a phrase has no tokens, states are not finite, or the system is singular."""
    settings = part.settings
    assert isinstance(settings, Refine)
    sites = {site: site.reads for site in part.sites if site.reads is not None}
    inputs = list(dict.fromkeys(sites.values()))
    solved, measured = dict[str, TextMap](), dict[str, Any]()
    absolute = settings.ridge_absolute
    statements = plan.active, plan.preserve
    problems = constraints(plan, *statements, text, inputs, settings.tokens, settings.erase_weight)
    priors, told = held(plan, text, options)
    for name in inputs:
        problem = problems.pop(name)
        prior = priors.get(name)
        whole = problem if prior is None else beside(problem, prior.rows, prior.weights)
        solution = solve(whole, settings.ridge if absolute is None else absolute, absolute is not None)
        solved[name], measured[name] = solution.map, fit(problem, solution)
        del problem, whole, solution  # at FLUX's size most of the memory, which the next line needs
        measured[name] |= spectrum(solved[name])
        if prior is not None:
            measured[name]["prior"] = prior.figures(solved[name])
    maps = {site: solved[name] for site, name in sites.items()}
    return edit.mapped(maps).told(settings.label, measured, told)
