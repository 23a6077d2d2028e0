"""One training, of an adapter or of weights: begun or gone on with, step by step, and saved (docs/methods.md §3.4,
phase 2).

The teacher is the original model, and for `hold` the model that the earlier passes left. Its predictions lie in the
trajectories: a training step is a batched forward and backward of the student and nothing else. The student is the
model with everything the earlier passes changed, and what is learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tracelang.engine.adversary import Adversary, Finds, adversary, carried
from tracelang.engine.batch import Batch, draw_batch
from tracelang.engine.cache import cached
from tracelang.engine.cache import key as trajectories_key
from tracelang.engine.edit import Edit, Patch
from tracelang.engine.errors import EngineError
from tracelang.engine.gated import Gated
from tracelang.engine.gradient import accumulate
from tracelang.engine.learner import Learner
from tracelang.engine.looking import looked
from tracelang.engine.lora import NAME, injected
from tracelang.engine.low_rank import LowRank
from tracelang.engine.rollout import Encode, Start, Trajectories, encoder, judged_by, predictions, record
from tracelang.engine.seeds import generator, seed
from tracelang.engine.state import State, adapters, between_steps, finds, load, pack, save, unpack, weights
from tracelang.engine.task import Task
from tracelang.engine.weights import refuse, unfrozen
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.semantics.passes.steer import Steer

SAVE_EVERY = 50

Shared = dict[str, Trajectories | None]
"""The preserved trajectories of earlier concepts; None where an earlier run counted them and this one has not needed
them yet.
"""


def trained(
    model: Model, edit: Edit, task: Task, shared: Shared, own: Shared | None = None
) -> tuple[Mapping[Site, LowRank | Tensor], list[float], Finds]:
    """What was learnt, its loss along the way, and what an adversary found. Adds to `shared` for the next one; `own`
    may hold this one's trajectories already.
    """
    state = load(task.path, task.key) if task.path is not None else None
    if state is not None and state.step >= task.steps:
        task.counts.update(state.counts)
        if task.kept:
            shared.setdefault(_name(model, task, task.kept), None)
        whole = task.settings.whole
        learnt = weights(state, edit, model, task.sites) if whole else adapters(state, task.sites)
        return learnt, list(state.curve), Finds.unpacked(finds(state))
    if task.settings.whole:
        refuse(model, task.sites, task.path)
    erased = tuple(frozen(model, task, one.starts, {} if own is None else own) for one in task.erased)
    kept = frozen(model, task, task.kept, shared) if task.kept else None
    erased, asked = looked(model, task, erased)
    task.counts["frozen"] += asked
    with _begun(model, edit, task, erased, kept) as training:
        if state is not None:
            training.resume(state)
        training.run()
        return training.learner.learnt(), training.curve, training.finds


def rate(step: int, settings: Steer, steps: int) -> float:
    """The learning rate of a step: a linear warm-up over a tenth of the run (at most 20 steps), then a half cosine."""
    warm = min(20, max(1, steps // 10))
    return settings.rate * min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(slots=True)
class Training:
    """What is learnt on its way, in a model that holds the `edit` before it.

    `done` steps are; `whole`: none is cut in two. `visited` is the learner as it was when trajectories were last
    sampled with it, or empty: they are not saved, so a run that goes on samples them again.
    """

    task: Task
    model: Model
    edit: Edit
    patch: Patch
    student: Model
    learner: Learner
    optimiser: torch.optim.Optimizer
    encode: Encode
    erased: tuple[Trajectories, ...]
    kept: Trajectories | None
    adversary: Adversary | None
    finds: Finds
    done: int = 0
    whole: bool = True
    curve: list[float] = field(default_factory=list)
    visited: dict[str, Tensor] = field(default_factory=dict)

    def resume(self, state: State) -> None:
        """Go on where `state` was saved."""
        refresh = self.task.settings.refresh
        self.done, self.visited = state.step, unpack(state, self.learner, self.optimiser)
        self.task.counts.update(state.counts)
        self.curve += state.curve
        self.finds = Finds.unpacked(finds(state))
        if self.visited and self.done % refresh:
            now = self.learner.copy()
            self.learner.put(self.visited)
            self._sample_again(self.done // refresh)
            self.learner.put(now)

    def run(self) -> None:
        """All steps that are left. On Ctrl-C saves what is whole and lets `KeyboardInterrupt` pass."""
        steps, begun = self.task.steps, self.done
        with between_steps() as check:
            try:
                while self.done < steps:
                    self._step()
                    if self.done % SAVE_EVERY == 0:
                        self._save()
                    if self.task.options.progress is not None:
                        self.task.options.progress(f"steering {self.task.label}", self.done, steps)
                    check()
            except KeyboardInterrupt:
                if self.whole:
                    self._save()
                raise
            if begun < steps:
                self._save()

    def _step(self) -> None:
        """One step. It counts once it is whole: what an interruption makes a run compute again is not counted again."""
        task, settings, step = self.task, self.task.settings, self.done
        seen = 0
        if settings.refresh and step and step % settings.refresh == 0:
            self.visited = self.learner.copy()
            seen = self._sample_again(step // settings.refresh)
        random = generator(f"batch {settings.label}", task.name, step, settings.seed)
        degrees = [one.degree for one in task.erased]
        batch = draw_batch(task.slots, self.erased, self.kept, task.kept_weights, degrees, random)
        for group in self.optimiser.param_groups:
            group["lr"] = rate(step, settings, task.steps)
        found, asked = self.finds, dict[str, int]()
        if self.adversary is not None:
            found, asked = self.adversary.searched(self.student, self.erased, found, step)
        self.whole = False
        self.finds = found
        loss = self._descend(batch)
        if not math.isfinite(loss):
            raise EngineError(f"steer: the loss of {task.label!r} is not finite at step {step}; lower the rate")
        for kind, count in (("frozen", seen), ("trained", len(batch.prompts)), ("steps", 1)):
            task.counts[kind] += count + asked.get(kind, 0)
        if step % max(1, task.steps // 20) == 0:
            self.curve.append(loss)
        self.done, self.whole = step + 1, True

    def _descend(self, batch: Batch) -> float:
        """The loss of a batch, and one step of the optimiser down its gradient."""
        states = self.encode([prompt or None for prompt in batch.prompts])
        if self.adversary is not None:
            states = self.adversary.planted(states, batch.prompts, self.finds, self.done)
        self.learner.forget()
        loss = accumulate(self.student, batch, states, self.task.options)
        torch.nn.utils.clip_grad_norm_(self.learner.parts, 1.0)
        self.optimiser.step()
        self.learner.written()
        return loss

    def _sample_again(self, refresh: int) -> int:
        """Trajectories of the student as it is, with the teachers' predictions on them; how many it all took."""
        task, steps = self.task, self.task.settings.sampler_steps
        result: list[Trajectories] = []
        evaluations = 0
        for group in filter(None, (*(one.starts for one in task.erased), task.kept)):
            purpose, base = f"refresh {refresh}", task.settings.seed
            again = [Start(one.prompt, one.anchor, seed(purpose, one.prompt, one.seed, base)) for one in group]
            path = record(self.student, again, steps, task.guidance, task.options.progress)
            with self.learner.off(), self.patch.undone():
                result.append(judged_by(self.model, path, again, task.options.progress))
            evaluations += path.evaluations + result[-1].evaluations
        many = len(task.erased)
        with self.learner.off(), self.patch.undone():
            again_erased, asked = looked(self.model, task, result[:many], keep=False)
        self.erased, seen = _before(self.model, self.edit, self.learner, task, again_erased)
        self.kept = result[many] if len(result) > many else None
        return evaluations + asked + seen

    def _save(self) -> None:
        task = self.task
        if task.path is not None:
            parts = self.learner, self.optimiser, self.visited, self.finds.packed()
            save(pack(task.key, self.done, task.counts, self.curve, *parts), task.path)


@contextmanager
def _begun(
    model: Model, edit: Edit, task: Task, erased: tuple[Trajectories, ...], kept: Trajectories | None
) -> Iterator[Training]:
    """A training at its first step; the model is afterwards what it was."""
    paths = [*erased, *([kept] if kept is not None else [])]
    encode = encoder(model, [*(prompt for path in paths for prompt in path.prompts), None])
    patch = edit.to(model)
    try:
        checkpointed = model.checkpointed() if task.options.checkpointing else nullcontext()
        with _learner(model, edit, task) as learner, checkpointed:
            student = _student(model, task)
            erased, seen = _before(model, edit, learner, task, erased)
            task.counts["frozen"] += seen
            optimiser = torch.optim.AdamW(learner.parts, weight_decay=0)
            found = carried(task, edit.found)
            foe = adversary(task, model, encode, learner.live, found)
            yield Training(task, model, edit, patch, student, learner, optimiser, encode, erased, kept, foe, found)
    finally:
        patch.undo()


def _learner(model: Model, edit: Edit, task: Task) -> AbstractContextManager[Learner]:
    settings = task.settings
    if settings.whole:
        return unfrozen(model, task.sites, edit.masked(task.targets))
    return injected(model, task.sites, settings.rank, f"adapter {settings.label} {task.name}", settings.seed)


def _name(model: Model, task: Task, group: Sequence[Start]) -> str:
    return trajectories_key(model, group, task.settings.sampler_steps, task.guidance)


def frozen(model: Model, task: Task, group: Sequence[Start], known: Shared) -> Trajectories:
    """The original model's trajectories, from `known` or, batch by batch, from the cache where they have them."""
    name = _name(model, task, group)

    def keep(batch: Sequence[Start], make: Callable[[], Trajectories]) -> Trajectories:
        return cached(_name(model, task, batch), make, task.options.cache, device=model.device.type)

    paths = known.get(name)
    if paths is None:
        paths = record(model, group, task.settings.sampler_steps, task.guidance, task.options.progress, keep)
        task.counts["frozen"] += 0 if name in known else paths.evaluations
        known[name] = paths
    return paths


def _before(
    model: Model, edit: Edit, learner: Learner, task: Task, erased: Sequence[Trajectories]
) -> tuple[tuple[Trajectories, ...], int]:
    """The trajectories with what `hold` asks for, the model without what is learnt, and how many predictions it took.

    To ask for the original model would have the training bring back, early, what the closed form erased.
    """
    if not edit.sites or not task.held:
        return tuple(erased), 0
    found = []
    with learner.off():
        for paths in erased:
            before = paths.conditional.clone()
            before[:, list(task.held)] = predictions(model, paths, steps=task.held, progress=task.options.progress)
            found.append(replace(paths, before=before))
    return tuple(found), sum(map(len, erased)) * len(task.held)


def _student(model: Model, task: Task) -> Model:
    """The model itself, or behind a gate that scales what its adapters add."""
    if task.gate is None:
        return model
    gated = Gated(model, task.gate, task.options.checkpointing)
    for site in task.sites:
        layer = model.denoiser.get_submodule(site.module)
        layer.lora_B[NAME].register_forward_hook(lambda module, inputs, output: gated.scaled(output))  # type: ignore
    return gated
