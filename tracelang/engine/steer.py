"""Fine-tuning of one adapter per erased concept along cached trajectories (METHODS.md §8.3, phase 2).

The teacher is the original model, and for `hold` the model that the earlier passes left. Its predictions lie in the
trajectories: a training step is one batched forward and backward of the student and nothing else. The student is the
model with everything the earlier passes changed, and the adapter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor

from tracelang.engine.cache import cached
from tracelang.engine.cache import key as trajectories_key
from tracelang.engine.edit import Adapter, Edit, Patch
from tracelang.engine.errors import EngineError
from tracelang.engine.gate import gate_of
from tracelang.engine.gated import Gated
from tracelang.engine.lora import NAME, copy, injected, put, switched_off
from tracelang.engine.low_rank import LowRank
from tracelang.engine.rollout import Start, Trajectories, judged_by, predictions, record
from tracelang.engine.seeds import generator, seed
from tracelang.engine.state import between_steps, finished, load, pack, save, unpack
from tracelang.engine.task import Options, Task, task_of
from tracelang.engine.terms import Batch, draw
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.family import Site
from tracelang.plan.types import Plan
from tracelang.plan.windows import lower
from tracelang.semantics.passes.steer import Steer

SAVE_EVERY = 50


def steer(plan: Plan, settings: Steer, model: Model, edit: Edit, options: Options) -> Edit:
    """The edit with an adapter more for every erased concept, each trained on top of `edit`, apart from the others.

    The same plan, model and machine give the same adapters bit for bit, whether the run was interrupted or not. The
    model is afterwards what it was. Raises `EngineError`; on Ctrl-C saves the state and lets `KeyboardInterrupt` pass.
    """
    gate = gate_of(lower(settings.gate, model.clock)) if settings.gate is not None else None
    if edit.gate is not None or (gate is not None and edit.adapters):
        raise EngineError(f"{settings.label}: one gated pass per method, and no other `steer` beside it")
    adapters, figures = list(edit.adapters), []
    shared: dict[str, Trajectories | None] = {}
    for number, erasure in enumerate(plan.active):
        task = task_of(plan, settings, model, erasure, number, gate, options)
        factors, curve = _trained(model, edit, task, shared)
        adapters.append(Adapter((task.targets,), task.label, factors))
        change = {site.tensor: _relative(ΔW, model.weight(site)) for site, ΔW in factors.items()}
        how = {"concept": task.label, "targets": task.targets, "autocast": options.autocast}
        figures.append({**how, "evaluations": task.counts, "loss": curve, "change": change})
    return Edit(edit.maps, tuple(adapters), gate, {**edit.figures, settings.label: figures})


def rate(step: int, settings: Steer) -> float:
    """The learning rate of a step: a linear warm-up over a tenth of the run (at most 20 steps), then a half cosine."""
    warm = min(20, max(1, settings.steps // 10))
    return settings.rate * min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _relative(change: LowRank, weight: Tensor) -> float | None:
    """‖ΔW‖ / ‖W‖, None for a matrix of zeros."""
    size = float(weight.detach().norm())
    return change.norm() / size if size else None


def _trained(
    model: Model, edit: Edit, task: Task, shared: dict[str, Trajectories | None]
) -> tuple[dict[Site, LowRank], list[float]]:
    """The adapter and its loss along the way. `shared` keeps the preserved trajectories for the next concept; None
    where an earlier run counted them and this one has not needed them yet.
    """
    settings, counts = task.settings, task.counts
    state = load(task.path, task.key) if task.path is not None else None
    if state is not None and state.step >= settings.steps:
        counts.update(state.counts)
        if task.kept:
            shared.setdefault(_name(model, task, task.kept), None)
        return finished(state, task.sites), list(state.curve)
    erased = _frozen(model, task, task.erased, {})
    kept = _frozen(model, task, task.kept, shared) if task.kept else None
    texts = list(dict.fromkeys([*erased.prompts, *(kept.prompts if kept is not None else ()), ""]))
    states, row = model.encode(texts), {text: i for i, text in enumerate(texts)}
    curve: list[float] = []
    with ExitStack() as stack:
        patch = edit.to(model)
        stack.callback(patch.undo)
        purpose = f"adapter {settings.label} {task.name}"
        loras = stack.enter_context(injected(model, task.sites, settings.rank, purpose, settings.seed))
        student = _student(model, task)
        erased, seen = _before(model, edit, task, erased)
        counts["frozen"] += seen
        check = stack.enter_context(between_steps())
        trained = [part for lora in loras.values() for part in (lora.up, lora.down)]
        optimiser = torch.optim.AdamW(trained, weight_decay=0)
        visited: dict[str, Tensor] = {}
        first = 0
        if state is not None:
            first, visited = state.step, unpack(state, loras, optimiser)
            counts.update(state.counts)
            curve += state.curve
            if visited and first % settings.refresh:
                now = copy(loras)
                put(loras, visited)
                erased, kept, _ = _visited(student, model, edit, patch, task, first // settings.refresh)
                put(loras, now)
        done, whole = first, True
        try:
            for step in range(first, settings.steps):
                seen = 0
                if settings.refresh and step and step % settings.refresh == 0:
                    visited = copy(loras)
                    erased, kept, seen = _visited(student, model, edit, patch, task, step // settings.refresh)
                random = generator(f"batch {settings.label}", task.name, step, settings.seed)
                batch = draw(task.slots, erased, kept, task.kept_weights, task.degree, random)
                for group in optimiser.param_groups:
                    group["lr"] = rate(step, settings)
                whole = False
                loss = _step(student, states.rows([row[text] for text in batch.prompts]), batch, optimiser, task)
                if not math.isfinite(loss):
                    raise EngineError(f"steer: the loss of {task.label!r} is not finite at step {step}; lower the rate")
                counts["frozen"] += seen
                counts["trained"] += len(batch.prompts)
                counts["steps"] += 1
                if step % max(1, settings.steps // 20) == 0:
                    curve.append(loss)
                done, whole = step + 1, True
                if task.path is not None and (step + 1) % SAVE_EVERY == 0:
                    save(pack(task.key, step + 1, counts, curve, loras, optimiser, visited), task.path)
                if task.options.progress is not None:
                    task.options.progress(f"steering {task.label}", step + 1, settings.steps)
                check()
        except KeyboardInterrupt:
            if task.path is not None and whole:
                save(pack(task.key, done, counts, curve, loras, optimiser, visited), task.path)
            raise
        if task.path is not None and first < settings.steps:
            save(pack(task.key, settings.steps, counts, curve, loras, optimiser, visited), task.path)
        return {site: lora.factors() for site, lora in loras.items()}, curve


def _step(student: Model, states: TextStates, batch: Batch, optimiser: torch.optim.Optimizer, task: Task) -> float:
    device = student.device
    with torch.autocast(device.type, torch.bfloat16, enabled=task.options.autocast):
        prediction = student.predict(batch.latents.to(device), batch.times.float().to(device), states)
    error = (prediction.float() - batch.targets.to(device)).square().flatten(1).mean(1)
    loss = error @ batch.weights.to(device)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([part for group in optimiser.param_groups for part in group["params"]], 1.0)
    optimiser.step()
    return float(loss.detach())


def _name(model: Model, task: Task, group: Sequence[Start]) -> str:
    return trajectories_key(model, group, task.settings.sampler_steps, task.guidance)


def _frozen(model: Model, task: Task, group: Sequence[Start], known: dict[str, Trajectories | None]) -> Trajectories:
    """The original model's trajectories, from `known` or, batch by batch, from the cache where they have them."""
    name = _name(model, task, group)

    def keep(batch: Sequence[Start], make: Callable[[], Trajectories]) -> Trajectories:
        return cached(_name(model, task, batch), make, task.options.cache)

    found = known.get(name)
    if found is None:
        found = record(model, group, task.settings.sampler_steps, task.guidance, task.options.progress, keep)
        task.counts["frozen"] += 0 if name in known else found.evaluations
        known[name] = found
    return found


def _visited(
    student: Model, model: Model, edit: Edit, patch: Patch, task: Task, refresh: int
) -> tuple[Trajectories, Trajectories | None, int]:
    """Fresh trajectories of the student, with the teachers' predictions on them, and how many it all took."""
    result: list[Trajectories] = []
    evaluations = 0
    for group in filter(None, (task.erased, task.kept)):
        purpose, base = f"refresh {refresh}", task.settings.seed
        again = [Start(one.prompt, one.anchor, seed(purpose, one.prompt, one.seed, base)) for one in group]
        path = record(student, again, task.settings.sampler_steps, task.guidance, task.options.progress)
        with patch.undone(), switched_off(model):
            result.append(judged_by(model, path, again, task.options.progress))
        evaluations += path.evaluations + result[-1].evaluations
    result[0], seen = _before(model, edit, task, result[0])
    return result[0], result[1] if len(result) > 1 else None, evaluations + seen


def _before(model: Model, edit: Edit, task: Task, erased: Trajectories) -> tuple[Trajectories, int]:
    """The trajectories with what `hold` asks for, the model without its adapter, and how many predictions it took.

    To ask for the original model would have the adapter bring back, early, what the closed form erased.
    """
    if not edit.sites or not task.held:
        return erased, 0
    before = erased.conditional.clone()
    with switched_off(model):
        before[:, list(task.held)] = predictions(model, erased, steps=task.held, progress=task.options.progress)
    return replace(erased, before=before), len(erased) * len(task.held)


def _student(model: Model, task: Task) -> Model:
    """The model itself, or behind a gate that scales what its adapters add."""
    if task.gate is None:
        return model
    gated = Gated(model, task.gate)
    for site in task.sites:
        layer = model.denoiser.get_submodule(site.module)
        layer.lora_B[NAME].register_forward_hook(lambda module, inputs, output: gated.scaled(output))  # type: ignore
    return gated
