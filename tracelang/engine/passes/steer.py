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
    them: changes of whole matrices that do not know of each other do not add up.

    The same plan, model and machine give the same edit bit for bit, whether the run was interrupted or not. The model
    is afterwards what it was. Raises `EngineError`; on Ctrl-C saves the state and lets `KeyboardInterrupt` pass.
    """
    settings = part.settings
    assert isinstance(settings, Steer)
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
            found = told(model, task, own)
            anchor = None if erasure.anchor is None else canonical_phrase(plan, erasure.anchor)
            here, chosen = choose(found, part, model.clock, task.label, anchor), {"auto": found.figures(part)}
            task = replace(task_of(here, plan, model, erasures, number, options), counts=task.counts)
        learnt, curve, finds = trained(model, before, task, shared, own)
        change = {site.tensor: _relative(ΔW, model.weight(site)) for site, ΔW in learnt.items()}
        if settings.whole:
            before = before.moved(cast(Mapping[Site, Tensor], learnt))
        else:
            adapters.append(Adapter(task.targets, task.label, cast(Mapping[Site, LowRank], learnt)))
        how = {"concept": task.label, "targets": task.targets, "autocast": options.autocast}
        searched = {"adversary": finds.figures()} if task.settings.adversary else {}
        figures.append({**how, "evaluations": task.counts, "loss": curve, **searched, "change": change, **chosen})
        gate = task.gate
    return replace(before, adapters=tuple(adapters), gate=gate, figures={**edit.figures, part.label: figures})


def _relative(change: LowRank | Tensor, weight: Tensor) -> float | None:
    """‖ΔW‖ / ‖W‖, None for a matrix of zeros."""
    size = float(weight.detach().norm())
    return float(change.norm()) / size if size else None
