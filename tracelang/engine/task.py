"""What training one concept needs to know, gathered from the plan and the model before it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from tracelang.engine.batch import Slot, slots
from tracelang.engine.errors import EngineError
from tracelang.engine.gate import Gate, gate_of
from tracelang.engine.options import Options
from tracelang.engine.rollout import Start, starts
from tracelang.models.protocol import Model
from tracelang.plan.bind import BoundPass
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt, anchor_prompts, canonical_phrase, edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Erasure, Member, Plan
from tracelang.semantics.passes.steer import Steer

TRAINING = 2
"""Raised where the same plan would train otherwise than before: a state of the old way is not gone on with."""


@dataclass(frozen=True, slots=True)
class Task:
    """All that training one concept needs to know.

    `counts` are the model's single predictions so far, those that a cache held counted too: `frozen` of the teachers
    and while sampling, `trained` with gradients; and the `steps`. `held` are the sampler steps at which `hold` acts.
    `prompts` says where the phrase stands in each text of `erased` and `kept`.
    """

    targets: Member
    label: str
    degree: float
    settings: Steer
    sites: tuple[Site, ...]
    slots: tuple[Slot, ...]
    held: tuple[int, ...]
    guidance: float
    gate: Gate | None
    erased: tuple[Start, ...]
    kept: tuple[Start, ...]
    kept_weights: Tensor
    prompts: Mapping[str, Prompt]
    options: Options
    key: str
    path: Path | None
    counts: dict[str, int] = field(default_factory=lambda: {"frozen": 0, "trained": 0, "steps": 0})

    @property
    def name(self) -> str:
        """What seeds are drawn for: no two erasures share it, though two may share their words."""
        return json.dumps(self.targets, ensure_ascii=False)


def task_of(part: BoundPass, plan: Plan, model: Model, erasure: Erasure, number: int, options: Options) -> Task:
    """The task of one erasure, the `number`-th that takes part.

    It gets `trajectories` of its own prompts, and the preserved ones that the pass counts on: these are the same for
    every concept of the pass, so a cache holds them once.
    """
    settings, gate = part.settings, part.window("gate")
    assert isinstance(settings, Steer)
    label = canonical_phrase(plan, erasure.targets)
    asked = edit_prompts(plan, erasure.targets)
    targets = [prompt.text for prompt in asked]
    anchors: list[str | None] = [None] * len(targets)
    if erasure.anchor is not None:
        anchors = [prompt.text for prompt in anchor_prompts(plan, erasure.targets, erasure.anchor)]
    spared = [edit_prompts(plan, one.concepts) for one in plan.preserve]
    groups = [[(prompt.text, None) for prompt in prompts] for prompts in spared]
    weights = [one.weight for one in plan.preserve]
    made = [*targets, *(text for text in anchors if text), *(text for group in groups for text, _ in group)]
    refuse(plan, made, EngineError)
    count = settings.preserved_trajectories(part.met)
    how = [options.autocast, str(model.dtype), model.device.type]
    scheme = model.fingerprint.rpartition(":")[0]
    facts = [TRAINING, plan.digest, model.fingerprint, settings.label, number, *how]
    erased = starts([list(zip(targets, anchors, strict=True))], settings.trajectories, "train", settings.seed)
    kept = starts(groups, count, "train", settings.seed)
    visited = {start.prompt for start in (*erased, *kept)}
    return Task(
        targets=erasure.targets,
        label=label,
        degree=erasure.degree,
        settings=settings,
        sites=part.sites,
        slots=slots(settings, part.met.shares, model.clock),
        held=settings.held(part.met),
        guidance=model.guidance if settings.guidance is None else settings.guidance,
        gate=None if gate is None else gate_of(gate),
        erased=erased,
        kept=kept,
        kept_weights=torch.tensor([weights[i % len(weights)] for i in range(count)]),
        prompts={prompt.text: prompt for prompt in (*chain(*spared), *asked) if prompt.text in visited},
        options=options,
        key=f"{scheme}:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}",
        path=options.state / f"{settings.label}-{number}.safetensors" if options.state is not None else None,
    )
