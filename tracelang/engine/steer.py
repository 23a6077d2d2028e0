"""Fine-tuning of one adapter per erased concept along cached trajectories (METHODS.md §8.3, phase 2).

The teacher is the original model, whose predictions lie in the trajectories: a training step is one batched forward
and backward of the student and nothing else. The student is the model with everything the earlier passes changed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracelang.engine.cache import cached
from tracelang.engine.cache import key as trajectories_key
from tracelang.engine.edit import Adapter, Edit, Patch
from tracelang.engine.errors import EngineError
from tracelang.engine.gate import Gate, gate_of
from tracelang.engine.gated import Gated
from tracelang.engine.lora import NAME, Lora, injected, switched_off
from tracelang.engine.low_rank import LowRank
from tracelang.engine.protocol import Model
from tracelang.engine.rollout import Progress, Start, Trajectories, judged_by, sample, starts
from tracelang.engine.seeds import generator, seed
from tracelang.engine.state import State, between_steps, load, save
from tracelang.engine.statements import active, preserved
from tracelang.engine.terms import Batch, Slot, draw, slots
from tracelang.plan.family import Site
from tracelang.plan.layers import select
from tracelang.plan.prompts import anchor_prompts, canonical_phrase, edit_prompts
from tracelang.plan.types import Erasure, Plan, SteerPass
from tracelang.plan.windows import lower

SAVE_EVERY = 50


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, as opposed to what: nothing here but `autocast` can change a result.

    `autocast` computes the student in bfloat16. Trajectories stay in the model's dtype: the losses need `δ`, a small
    difference of two predictions, which bfloat16 gets wrong by a tenth."""

    progress: Progress | None = None
    state: Path | None = None
    cache: Path | None = None
    autocast: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """All that training one concept needs to know."""

    label: str
    degree: float
    settings: SteerPass
    sites: tuple[Site, ...]
    slots: tuple[Slot, ...]
    guidance: float
    gate: Gate | None
    erased: tuple[Start, ...]
    kept: tuple[Start, ...]
    kept_weights: Tensor
    options: Options
    key: str
    path: Path | None
    counts: dict[str, int] = field(default_factory=lambda: {"frozen": 0, "trained": 0, "steps": 0})


def steer(plan: Plan, settings: SteerPass, model: Model, edit: Edit, options: Options) -> Edit:
    """The edit with an adapter more for every erased concept, each trained on top of `edit`, apart from the others.

    The same plan, model and machine give the same adapters bit for bit, whether the run was interrupted or not. The
    model is afterwards what it was. Raises `EngineError`; on Ctrl-C saves the state and lets `KeyboardInterrupt` pass.
    """
    gate = gate_of(lower(settings.gate, model.clock)) if settings.gate is not None else None
    if (edit.adapters and edit.gate != gate) or edit.gate is not None:
        raise EngineError(f"steer: {settings.label} follows adapters that are gated otherwise; an edit has one gate")
    adapters, figures = list(edit.adapters), []
    for number, erasure in enumerate(active(plan)):
        task = _task(plan, settings, model, erasure, number, gate, options)
        factors, curve = _trained(model, edit, task)
        adapters.append(Adapter(task.label, factors))
        change = {site.tensor: ΔW.norm() / float(model.weight(site).detach().norm()) for site, ΔW in factors.items()}
        figures.append({"concept": task.label, "evaluations": task.counts, "loss": curve, "change": change})
    return Edit(edit.maps, tuple(adapters), gate, {**edit.figures, settings.label: figures})


def rate(step: int, settings: SteerPass) -> float:
    """The learning rate of a step: a linear warm-up over a tenth of the run (at most 20 steps), then a half cosine."""
    warm = min(20, max(1, settings.steps // 10))
    return settings.rate * min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _task(
    plan: Plan, settings: SteerPass, model: Model, erasure: Erasure, number: int, gate: Gate | None, options: Options
) -> Task:
    label = canonical_phrase(plan, erasure.targets)
    targets = [prompt.text for prompt in edit_prompts(plan, erasure.targets)]
    anchors: list[str | None] = [None] * len(targets)
    if erasure.anchor is not None:
        anchors = [prompt.text for prompt in anchor_prompts(plan, erasure.targets, erasure.anchor)]
    members = preserved(plan)
    groups = [[(prompt.text, None) for prompt in edit_prompts(plan, member)] for member in members]
    count = max(2 * settings.trajectories, len(members)) if members else 0
    weights = list(members.values())
    how = [options.autocast, str(model.dtype), model.device.type]
    facts = [plan.digest, model.fingerprint, settings.label, number, *how]
    return Task(
        label=label,
        degree=erasure.degree,
        settings=settings,
        sites=select(settings.on, model.sites),
        slots=slots(settings, model.clock, bool(members)),
        guidance=model.guidance if settings.guidance is None else settings.guidance,
        gate=gate,
        erased=starts([list(zip(targets, anchors, strict=True))], settings.trajectories, "train", settings.seed),
        kept=starts(groups, count, "train", settings.seed),
        kept_weights=torch.tensor([weights[i % len(weights)] for i in range(count)]),
        options=options,
        key=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
        path=options.state / f"{settings.label}-{number}.safetensors" if options.state is not None else None,
    )


def _trained(model: Model, edit: Edit, task: Task) -> tuple[dict[Site, LowRank], list[float]]:
    settings, counts = task.settings, task.counts
    state = load(task.path, task.key) if task.path is not None else None
    if state is not None and state.step >= settings.steps:
        return _finished(state, task.sites), []
    erased, kept = (_frozen(model, task, group) for group in (task.erased, task.kept))
    assert erased is not None
    texts = list(dict.fromkeys([*erased.prompts, *(kept.prompts if kept is not None else ()), ""]))
    states, row = model.encode(texts), {text: i for i, text in enumerate(texts)}
    curve: list[float] = []
    with ExitStack() as stack:
        patch = edit.to(model)
        stack.callback(patch.undo)
        purpose = f"adapter {settings.label} {task.label}"
        loras = stack.enter_context(injected(model, task.sites, settings.rank, purpose, settings.seed))
        student = _student(model, task)
        check = stack.enter_context(between_steps())
        trained = [part for lora in loras.values() for part in (lora.up, lora.down)]
        optimiser = torch.optim.AdamW(trained, weight_decay=0)
        visited: dict[str, Tensor] = {}
        first = 0
        if state is not None:
            first, visited = state.step, _restore(state, loras, optimiser)
            if visited and first % settings.refresh:
                now = _copy(loras)
                _put(loras, visited)
                erased, kept = _visited(student, model, patch, task, first // settings.refresh)
                _put(loras, now)
        done, whole = first, True
        try:
            for step in range(first, settings.steps):
                if settings.refresh and step and step % settings.refresh == 0:
                    visited = _copy(loras)
                    erased, kept = _visited(student, model, patch, task, step // settings.refresh)
                random = generator(f"batch {settings.label}", task.label, step, settings.seed)
                batch = draw(task.slots, erased, kept, task.kept_weights, task.degree, random)
                for group in optimiser.param_groups:
                    group["lr"] = rate(step, settings)
                whole = False
                loss = _step(student, states.rows([row[text] for text in batch.prompts]), batch, optimiser, task)
                done, whole = step + 1, True
                if not math.isfinite(loss):
                    raise EngineError(f"steer: the loss of {task.label!r} is not finite at step {step}; lower the rate")
                counts["trained"] += len(batch.prompts)
                counts["steps"] += 1
                if step % max(1, settings.steps // 20) == 0:
                    curve.append(loss)
                if task.path is not None and (step + 1) % SAVE_EVERY == 0:
                    save(_state(task, step + 1, loras, optimiser, visited), task.path)
                if task.options.progress is not None:
                    task.options.progress(f"steering {task.label}", step + 1, settings.steps)
                check()
        except KeyboardInterrupt:
            if task.path is not None and whole:
                save(_state(task, done, loras, optimiser, visited), task.path)
            raise
        if task.path is not None and first < settings.steps:
            save(_state(task, settings.steps, loras, optimiser, visited), task.path)
        return {site: lora.factors() for site, lora in loras.items()}, curve


def _step(student: Model, states: Any, batch: Batch, optimiser: torch.optim.Optimizer, task: Task) -> float:
    device = student.device
    with torch.autocast(device.type, torch.bfloat16, enabled=task.options.autocast):
        prediction = student.predict(batch.latents.to(device), batch.times.to(device, torch.float32), states)
    error = (prediction.float() - batch.targets.to(device)).square().flatten(1).mean(1)
    loss = error @ batch.weights.to(device)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([part for group in optimiser.param_groups for part in group["params"]], 1.0)
    optimiser.step()
    return float(loss.detach())


def _frozen(model: Model, task: Task, group: Sequence[Start]) -> Trajectories | None:
    """The original model's trajectories, from the cache where it has them."""
    if not group:
        return None
    steps = task.settings.sampler_steps

    def make() -> Trajectories:
        made = sample(model, group, steps, task.guidance, task.options.progress)
        task.counts["frozen"] += made.evaluations
        return made

    return cached(trajectories_key(model, group, steps, task.guidance), make, task.options.cache)


def _visited(
    student: Model, model: Model, patch: Patch, task: Task, refresh: int
) -> tuple[Trajectories, Trajectories | None]:
    """Fresh trajectories of the student, with the original model's predictions on them."""
    result: list[Trajectories] = []
    for group in filter(None, (task.erased, task.kept)):
        purpose, base = f"refresh {refresh}", task.settings.seed
        again = [Start(one.prompt, one.anchor, seed(purpose, one.prompt, one.seed, base)) for one in group]
        path = sample(student, again, task.settings.sampler_steps, task.guidance, task.options.progress)
        with patch.undone(), switched_off(model):
            result.append(judged_by(model, path, again, task.options.progress))
        task.counts["frozen"] += path.evaluations + result[-1].evaluations
    return result[0], result[1] if len(result) > 1 else None


def _student(model: Model, task: Task) -> Model:
    """The model itself, or behind a gate that scales what its adapters add."""
    if task.gate is None:
        return model
    gated = Gated(model, task.gate)
    for site in task.sites:
        layer = model.denoiser.get_submodule(site.module)
        layer.lora_B[NAME].register_forward_hook(lambda module, inputs, output: gated.scaled(output))  # type: ignore
    return gated


def _copy(loras: dict[Site, Lora]) -> dict[str, Tensor]:
    return {
        f"{site.tensor} {part}": getattr(lora, part).detach().clone()
        for site, lora in loras.items()
        for part in ("up", "down")
    }


def _finished(state: State, sites: Sequence[Site]) -> dict[Site, LowRank]:
    parts = {name.removeprefix("adapter "): tensor.double() for name, tensor in state.tensors.items()}
    return {site: LowRank(parts[f"{site.tensor} up"], parts[f"{site.tensor} down"]) for site in sites}


def _put(loras: dict[Site, Lora], tensors: dict[str, Tensor]) -> None:
    for site, lora in loras.items():
        for part in ("up", "down"):
            getattr(lora, part).data.copy_(tensors[f"{site.tensor} {part}"])


def _state(
    task: Task, step: int, loras: dict[Site, Lora], optimiser: torch.optim.Optimizer, visited: dict[str, Tensor]
) -> State:
    tensors = {f"adapter {name}": tensor for name, tensor in _copy(loras).items()}
    tensors |= {f"visited {name}": tensor for name, tensor in visited.items()}
    for i, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"moment {i} {name}": torch.as_tensor(value) for name, value in moments.items()}
    return State(task.key, step, tensors)


def _restore(state: State, loras: dict[Site, Lora], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Put adapters and moments back; returns the adapters of the last refresh, if there was one."""
    parts: dict[str, dict[str, Tensor]] = {"adapter": {}, "visited": {}, "moment": {}}
    for name, tensor in state.tensors.items():
        kind, _, rest = name.partition(" ")
        parts[kind][rest] = tensor
    _put(loras, parts["adapter"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["moment"].items():
        index, _, rest = name.partition(" ")
        moments.setdefault(int(index), {})[rest] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return parts["visited"]
