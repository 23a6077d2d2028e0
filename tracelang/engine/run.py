"""A plan's passes, in order, on a model; those of the closed form on its prompt side alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tracelang.engine.cache import folder
from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.fuse import fuse
from tracelang.engine.low_rank import LowRank
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.statements import constraints
from tracelang.engine.steer import steer
from tracelang.engine.task import Options
from tracelang.engine.text_map import TextMap, fit, solve, spectrum
from tracelang.models.protocol import Model, TextSide
from tracelang.plan.family import Site
from tracelang.plan.layers import select
from tracelang.plan.protected import involved
from tracelang.plan.types import Plan
from tracelang.progress import Progress
from tracelang.semantics.passes.fuse import Fuse
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer


def run(
    plan: Plan,
    model: Model,
    progress: Progress | None = None,
    state_dir: Path | None = None,
    cache: Path | Callable[[], Path] | None = folder,
    autocast: bool | None = None,
) -> Edit:
    """The edit that `plan` makes of `model`, which afterwards is what it was.

    A plan whose every degree is 0 gives the empty edit. `state_dir` is where training saves itself every few steps and
    on Ctrl-C; the same call goes on from there, and leaves its files for the caller to remove. `cache` is the folder
    of trajectories, None for none. `autocast` trains the student in bfloat16; None: where `bfloat16_pays`. It changes
    the adapters' last digits, is part of a state's key, and stands in the figures of every adapter.

    Raises `EngineError`, `SelectionError`, `WindowError`: a pass or term that this model cannot express is never
    dropped. Lets `KeyboardInterrupt` pass after saving.
    """
    edit = Edit()
    if not plan.active:
        return edit
    refuse(plan, str(model.dtype))
    fast = bfloat16_pays(model) if autocast is None else autocast
    options = Options(progress, state_dir, cache() if callable(cache) else cache, fast)
    for step in plan.method.passes:
        match step:
            case Refine():
                edit = refine(plan, step, model, edit)
            case Steer():
                edit = steer(plan, step, model, edit, options)
            case Fuse():
                edit = fuse(plan, step, model, edit)
            case _:
                raise EngineError(f"{step.label}: the pass `{step.kind}` is not carried out yet")
    return edit


def refuse(plan: Plan, dtype: str) -> None:
    """Raise `EngineError` where the plan trains on what is protected, or in a dtype whose range gradients fall out of:
    ask before loading.
    """
    trained = [step.label for step in plan.method.passes if isinstance(step, Steer)]
    name = involved(plan)
    if trained and name is not None:
        raise EngineError(f"{trained[0]}: training would sample {name}, which is protected; use closed forms alone")
    if plan.active and trained and dtype.removeprefix("torch.") == "float16":
        raise EngineError(f"{trained[0]}: gradients fall out of float16's range; choose float32 or bfloat16")


def needs_no_model(plan: Plan) -> bool:
    """Is all that the plan does a closed form? Then text states decide the edit, and matrices come from the files."""
    return not plan.active or all(isinstance(step, Refine | Fuse) for step in plan.method.passes)


def closed_form(plan: Plan, text: TextSide) -> Edit:
    """`run` of a plan that `needs_no_model`, on the prompt side alone. Raises what it does."""
    edit = Edit()
    for step in plan.method.passes if plan.active else ():
        match step:
            case Refine():
                edit = refine(plan, step, text, edit)
            case Fuse():
                pass  # there are no adapters
            case _:
                raise EngineError(f"{step.label}: the pass `{step.kind}` needs the whole model")
    return edit


def refine(plan: Plan, settings: Refine, text: TextSide, edit: Edit) -> Edit:
    """The edit with the closed form on top: one map and one factorisation per text input, however many matrices."""
    sites = select(settings.on, text.sites)
    for site in sites:
        if site.reads is None:
            raise EngineError(f"{settings.label}: {site.tensor} does not read prompt states alone; use `on prompt`")
    inputs = list(dict.fromkeys(site.reads for site in sites if site.reads is not None))
    solved, measured = dict[str, TextMap](), dict[str, dict[str, float]]()
    absolute = settings.ridge_absolute
    problems = constraints(plan, settings, text, inputs)
    for name in inputs:
        problem = problems.pop(name)
        solution = solve(problem, settings.ridge if absolute is None else absolute, absolute is not None)
        solved[name], measured[name] = solution.map, fit(problem, solution)
        del problem, solution  # at FLUX's size most of the memory, which the next line needs
        measured[name] |= spectrum(solved[name])
    adapters = tuple(replace(one, factors=_after(one.factors, solved, sites)) for one in edit.adapters)
    return Edit(_compose(edit, sites, solved), adapters, edit.gate, {**edit.figures, settings.label: measured})


def _compose(edit: Edit, sites: tuple[Site, ...], solved: dict[str, TextMap]) -> dict[Site, TextMap]:
    maps, made = dict(edit.maps), dict[TextMap, TextMap]()
    for site in sites:
        assert site.reads is not None
        before = maps.get(site)
        if before is None:
            maps[site] = solved[site.reads]
            continue
        made[before] = made.get(before) or before.then(solved[site.reads])
        maps[site] = made[before]
    return maps


def _after(
    factors: Mapping[Site, LowRank], solved: Mapping[str, TextMap], sites: tuple[Site, ...]
) -> dict[Site, LowRank]:
    """Earlier adapters under a later map: `(W + B D) T = W T + B (D T)`."""
    result = {}
    for site, change in factors.items():
        if site in sites:
            assert site.reads is not None
            T = solved[site.reads]
            change = LowRank(change.up, change.down + (change.down @ T.left) @ T.right.T)
        result[site] = change
    return result
