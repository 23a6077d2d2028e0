"""What the unedited model's own attention tells of trajectories, for the terms whose loss is of attention.

It is asked once, before training and after each time that trajectories are sampled anew, at the steps of the term's
window; and kept in the cache beside the trajectories that it is of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from tracelang.clock import work_clock
from tracelang.engine.cache import SPARED, key
from tracelang.engine.errors import EngineError
from tracelang.engine.rollout import Looked, Trajectories, chunks, encoder
from tracelang.engine.sampling import predict
from tracelang.engine.task import Task
from tracelang.models import store
from tracelang.models.protocol import Attended, Model
from tracelang.plan.prompts import Prompt
from tracelang.semantics.kinds import Term

FORMAT = 1

Feature = Callable[[Sequence[Attended], int, Sequence[int]], Tensor]
"""Of all layers, the prediction's row among them, and the tokens that are meant: whatever a term takes from there."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The unedited model, and the trajectories of one concept of a task. `steps` are those of a term's window."""

    model: Model
    task: Task
    paths: Trajectories
    steps: Sequence[int]

    def tokens(self, prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
        """The phrase's own, in each of the prompts."""
        layouts = {prompt: self.model.layout(prompt) for prompt in dict.fromkeys(prompts)}
        for prompt, layout in layouts.items():
            if not layout.phrase:
                raise EngineError(
                    f"steer: the phrase {prompt.phrase!r} has no token in {prompt.text!r}, so nothing attends to it; "
                    "shorten the template"
                )
        return [layouts[prompt].phrase for prompt in prompts]

    @torch.no_grad()
    def read(self, prompts: Sequence[Prompt], feature: Feature) -> Tensor:
        """A feature `[n, S, …]` of what is attended to where each trajectory goes, for a prompt each; zeros at the
        steps that are not asked for.
        """
        model, paths, tokens = self.model, self.paths, self.tokens(prompts)
        encode = encoder(model, [prompt.text for prompt in prompts])
        found: list[Tensor] = []
        for batch in chunks(model, range(len(paths))):
            states, latents = encode([prompts[i].text for i in batch]), paths.latents[batch[0] : batch[-1] + 1]
            made: dict[int, Tensor] = {}
            for step in self.steps:
                with model.attended() as layers:
                    predict(model, latents[:, step].to(model.device), float(paths.times[step]), states)
                made[step] = torch.stack([feature(layers, row, tokens[i]).cpu() for row, i in enumerate(batch)])
            empty = torch.zeros_like(next(iter(made.values())))
            found.append(torch.stack([made.get(step, empty) for step in range(len(paths.times))], 1))
        told = torch.cat(found)
        if not torch.isfinite(told).all():
            raise EngineError("steer: the model's attention holds NaN or infinity")
        return told


def looked(
    model: Model, task: Task, erased: Sequence[Trajectories], keep: bool = True
) -> tuple[tuple[Trajectories, ...], int]:
    """The trajectories of each concept with what the terms on attention have to know of them, and how many predictions
    that took. `keep`: in the cache, for they are the original model's.
    """
    result, taken = [], 0
    for concept, paths in zip(task.erased, erased, strict=True):
        known: dict[str, Looked] = {}
        prompts = [task.prompts[prompt] for prompt in paths.prompts]
        for slot in task.slots:
            if slot.term.attends:
                ask, of = Asking(model, task, paths, slot.steps.tolist()), _engine(slot.term)
                asks = of.asks(slot.term, ask, prompts)
                name = _name(model, task, concept.starts, slot.term, ask.steps, asks) if keep and asks else None
                told = _cached(task, name, model.device.type, partial(of.told, slot.term, ask, asks))
                tokens = [of.tokens(slot.term, model.layout(prompt)) for prompt in prompts]
                known[slot.term.label] = Looked(tuple(tokens), told)
                taken += len(asks) * len(paths) * len(ask.steps)
        result.append(replace(paths, looked=known) if known else paths)
    return tuple(result), taken


def error(term: Term, layers: Sequence[Attended], row: int, tokens: Sequence[int], told: Tensor) -> Tensor:
    """The loss of one row, a number."""
    found: Tensor = _engine(term).error(term, layers, row, tokens, told)
    return found


def _engine(term: Term) -> Any:
    return import_module(f"tracelang.engine.terms.{term.kind}")


def _name(
    model: Model, task: Task, starts: Any, term: Any, steps: Sequence[int], asks: Sequence[Sequence[Prompt]]
) -> str:
    paths = key(model, starts, task.settings.sampler_steps, task.guidance)
    plain = repr(replace(term, label=term.kind, weight=1.0))
    texts = [[[prompt.text, prompt.phrase] for prompt in prompts] for prompts in asks]
    return hashlib.sha256(json.dumps([FORMAT, paths, plain, list(steps), texts]).encode()).hexdigest()


def _cached(task: Task, name: str | None, device: str, make: Callable[[], Tensor]) -> Tensor:
    where = task.options.cache
    if where is None or name is None:
        return make()
    path = where / f"attention-{name}.safetensors"
    held = store.read(path)
    found: Mapping[str, Tensor] = {} if held is None else held[0]
    if held is not None and "told" in found:
        SPARED.setdefault(path.stem, float(held[1].get("seconds", 0)))
        return found["told"]
    SPARED[path.stem] = 0.0
    begin = work_clock(device)
    told = make().contiguous()
    with contextlib.suppress(OSError):
        store.keep(path, {"told": told}, {"seconds": repr(work_clock(device) - begin)})
    return told
