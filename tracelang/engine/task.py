"""What training one adapter needs to know, gathered from the plan and the model before it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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
from tracelang.plan.prompts import Prompt, anchor_prompts, canonical_phrase, edit_prompts, synonyms
from tracelang.plan.protected import refuse
from tracelang.plan.types import Erasure, Member, Plan
from tracelang.semantics.passes.steer import Steer

TRAINING = 2
"""Raised where the same plan would train otherwise than before: a state of the old way is not gone on with."""


@dataclass(frozen=True, slots=True)
class Erased:
    """A concept that a task erases, and where its trajectories start. `label` is for people."""

    targets: Member
    label: str
    degree: float
    starts: tuple[Start, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """All that training one adapter needs to know: of one concept, or of several together.

    `counts` are the model's single predictions so far, those that a cache held counted too: `frozen` of the teachers
    and while sampling, `trained` with gradients; and the `steps`. `held` are the sampler steps at which `hold` acts.
    `prompts` says where the phrase stands in each text of `erased` and `kept`; `synonyms` has for each of `erased` the
    same with another name, where there is one, and `unrelated` the prompts of each preserved member.
    """

    erased: tuple[Erased, ...]
    steps: int
    settings: Steer
    sites: tuple[Site, ...]
    slots: tuple[Slot, ...]
    held: tuple[int, ...]
    guidance: float
    gate: Gate | None
    kept: tuple[Start, ...]
    kept_weights: Tensor
    prompts: Mapping[str, Prompt]
    synonyms: Mapping[str, Prompt]
    unrelated: tuple[tuple[Prompt, ...], ...]
    options: Options
    key: str
    path: Path | None
    counts: dict[str, int] = field(default_factory=lambda: {"frozen": 0, "trained": 0, "steps": 0})

    @property
    def name(self) -> str:
        """What seeds are drawn for: no two erasures share it, though two may share their words."""
        named = self.targets[0] if len(self.targets) == 1 else self.targets
        return json.dumps(named, ensure_ascii=False)

    @property
    def targets(self) -> tuple[Member, ...]:
        return tuple(one.targets for one in self.erased)

    @property
    def label(self) -> str:
        return ", ".join(dict.fromkeys(one.label for one in self.erased))


def task_of(
    part: BoundPass, plan: Plan, model: Model, erasures: Sequence[Erasure], number: int, options: Options
) -> Task:
    """The task of the `number`-th adapter, which erases these.

    Each gets `trajectories` of its own prompts; the preserved ones that the pass counts on are the same for every
    adapter of the pass. So a cache holds both once, whichever concepts train together.
    """
    settings, gate = part.settings, part.window("gate")
    assert isinstance(settings, Steer)
    erased = tuple(_erased(plan, erasure, settings) for erasure in erasures)
    spared = [edit_prompts(plan, one.concepts) for one in plan.preserve]
    groups = [[(prompt.text, None) for prompt in prompts] for prompts in spared]
    weights = [one.weight for one in plan.preserve]
    refuse(plan, [text for group in groups for text, _ in group], EngineError)
    count = settings.preserved_trajectories(part.met)
    how = [options.autocast, str(model.dtype), model.device.type]
    scheme = model.fingerprint.rpartition(":")[0]
    facts = [TRAINING, plan.edit_digest, model.fingerprint, settings.label, number, *how]
    kept = starts(groups, count, "train", settings.seed)
    asked = [edit_prompts(plan, erasure.targets) for erasure in erasures]
    visited = {start.prompt for start in (*chain(*(one.starts for one in erased)), *kept)}
    return Task(
        erased=erased,
        steps=settings.together(len(erased)),
        settings=settings,
        sites=part.sites,
        slots=slots(settings, part.met.shares, model.clock),
        held=settings.held(part.met),
        guidance=model.guidance if settings.guidance is None else settings.guidance,
        gate=None if gate is None else gate_of(gate),
        kept=kept,
        kept_weights=torch.tensor([weights[i % len(weights)] for i in range(count)]),
        prompts={prompt.text: prompt for prompt in chain(*spared, *asked) if prompt.text in visited},
        synonyms=dict(chain(*(synonyms(plan, erasure.targets).items() for erasure in erasures))),
        unrelated=tuple(spared),
        options=options,
        key=f"{scheme}:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}",
        path=options.state / f"{settings.label}-{number}.safetensors" if options.state is not None else None,
    )


def _erased(plan: Plan, erasure: Erasure, settings: Steer) -> Erased:
    targets = [prompt.text for prompt in edit_prompts(plan, erasure.targets)]
    anchors: list[str | None] = [None] * len(targets)
    if erasure.anchor is not None:
        anchors = [prompt.text for prompt in anchor_prompts(plan, erasure.targets, erasure.anchor)]
    refuse(plan, [*targets, *(text for text in anchors if text)], EngineError)
    begin = starts([list(zip(targets, anchors, strict=True))], settings.trajectories, "train", settings.seed)
    return Erased(erasure.targets, canonical_phrase(plan, erasure.targets), erasure.degree, begin)
