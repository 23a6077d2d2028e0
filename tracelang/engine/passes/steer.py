"""Fine-tuning of an adapter for each erased concept, or a joint one, or of the weights themselves, along cached
trajectories.

docs/methods.md §3.4, phase 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from torch import Tensor

from tracelang.engine.auto import choose, told
from tracelang.engine.edit import Adapter, Edit
from tracelang.engine.found import Found
from tracelang.engine.gate import Gate
from tracelang.engine.low_rank import LowRank
from tracelang.engine.options import Options
from tracelang.engine.task import task_of
from tracelang.engine.training import Shared, trained
from tracelang.models.protocol import Model
from tracelang.plan.bind import BoundPass
from tracelang.plan.family import Site
from tracelang.plan.prompts import canonical_phrase
from tracelang.plan.types import Plan
from tracelang.semantics.passes.steer import Steer

needs: Literal["text", "model"] = "model"


def run(part: BoundPass, plan: Plan, model: Model, edit: Edit, options: Options) -> Edit:
    """The edit with an adapter more for every erased concept, each trained on top of `edit`, apart from the others; or
    with a joint one. Weights themselves are trained for one concept after another, each from where the one before left
    them: changes of whole matrices that do not know of each other do not add up. `from = base`: in the place of `edit`,
    but for what its passes found.

    The same plan, model and machine give the same edit bit for bit, whether the run was interrupted or not. The model
    is afterwards what it was. Raises `EngineError`; on Ctrl-C saves the state and lets `KeyboardInterrupt` pass.
    """
    settings = part.settings
    assert isinstance(settings, Steer)
    found, told_before = dict(edit.found), edit.figures
    if settings.from_ == "base":
        edit = Edit(found=edit.found, masks=edit.masks)
    adapters, figures = list(edit.adapters), list[dict[str, Any]]()
    before = edit
    shared: Shared = {}
    gate: Gate | None = None
    for number, erasures in enumerate(settings.taught(plan.active)):
        task = task_of(part, plan, model, erasures, number, options)
        own: Shared = {}
        chosen = {}
        if settings.chosen:
            (erasure,) = erasures
            curves = told(model, task, own)
            anchor = None if erasure.anchor is None else canonical_phrase(plan, erasure.anchor)
            here, chosen = choose(curves, part, model.clock, task.label, anchor), {"auto": curves.figures(part)}
            task = replace(task_of(here, plan, model, erasures, number, options), counts=task.counts)
        learnt, curve, finds = trained(model, before, task, shared, own)
        change = {site.tensor: _relative(ΔW, model.weight(site)) for site, ΔW in learnt.items()}
        if settings.whole:
            before = before.moved(cast(Mapping[Site, Tensor], learnt))
        else:
            adapters.append(Adapter(task.targets, task.label, cast(Mapping[Site, LowRank], learnt)))
        how = {"concept": task.label, "targets": task.targets, "autocast": options.autocast}
        searched: dict[str, Any] = {"adversary": finds.figures()} if task.settings.adversary else {}
        if settings.from_ == "base":
            searched["carried"] = sum(len(found.get(targets, ())) for targets in task.targets)
        for i, targets in enumerate(task.targets):
            earlier = () if settings.from_ == "base" else found.get(targets, ())  # there the pool begins with these
            found[targets] = (*earlier, *(Found(one.kind, one.value) for one in finds.pool if one.of == i))
        figures.append({**how, "evaluations": task.counts, "loss": curve, **searched, "change": change, **chosen})
        gate = task.gate
    found = {targets: inputs for targets, inputs in found.items() if inputs}
    told_all = {**told_before, part.label: figures}
    return replace(before, adapters=tuple(adapters), gate=gate, found=found, figures=told_all)


def _relative(change: LowRank | Tensor, weight: Tensor) -> float | None:
    """‖ΔW‖ / ‖W‖, None for a matrix of zeros."""
    size = float(weight.detach().norm())
    return float(change.norm()) / size if size else None
