"""The weights that a concept is in, by the gradient of pushing it away (docs/methods.md §4.2).

A run is a name of the concept and a seed. It adds up the gradients, signed, of `‖ε_θ(x, c) − target‖²` at some places
of one trajectory, and leaves of each matrix the share of numbers with the largest sums. What all runs leave is the
mask. At the model's own weights terms that hold what it did have no gradient, and the strength of the push scales it
alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from tracelang.engine.batch import Batch, target
from tracelang.engine.cache import cached
from tracelang.engine.cache import key as trajectories_key
from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.gradient import accumulate
from tracelang.engine.options import Options
from tracelang.engine.rollout import Start, Trajectories, encoder, record
from tracelang.engine.seeds import generator, seed
from tracelang.engine.state import State, between_steps, load, save
from tracelang.engine.weights import refuse, unfrozen
from tracelang.models.protocol import Model
from tracelang.plan.bind import BoundPass
from tracelang.plan.family import Site
from tracelang.plan.prompts import anchor_prompts, canonical_phrase, edit_prompts, wordings
from tracelang.plan.types import Erasure, Plan
from tracelang.semantics.passes.mask import BESIDE, STATE, Mask
from tracelang.semantics.terms.push import Push

needs: Literal["text", "model"] = "model"
PUSH = Push("push", "push")


def run(part: BoundPass, plan: Plan, model: Model, edit: Edit, options: Options) -> Edit:
    """The edit with a mask for every erased concept. The model is afterwards what it was.

    Raises `EngineError`, also where nothing is left of a matrix: it would silently stay untrained. On Ctrl-C saves the
    runs that are done and lets `KeyboardInterrupt` pass.
    """
    settings = part.settings
    assert isinstance(settings, Mask)
    refuse(model, part.sites, options.state, (BESIDE, STATE))
    masks, figures = dict(edit.masks), list[dict[str, Any]]()
    for number, erasure in enumerate(plan.active):
        label = canonical_phrase(plan, erasure.targets)
        starts = _starts(plan, erasure, settings)
        found, counts = _intersected(part, plan, model, edit, options, starts, number, label)
        masks[erasure.targets] = found
        figures.append({"concept": label, **_told(found, settings.share, len(starts)), "evaluations": counts})
        if empty := [site.tensor for site, mask in found.items() if not mask.any()]:
            raise EngineError(
                f"{settings.label}: {len(starts)} runs of {label!r} have no number of {empty[0]} in common"
                f"{f' (and of {len(empty) - 1} more matrices)' if empty[1:] else ''}; raise `share`, or lower `seeds`"
            )
    return replace(edit, masks=masks, figures={**edit.figures, settings.label: figures})


def leaves(gradient: Tensor, share: float, keep: Literal["largest", "smallest"] = "largest") -> Tensor:
    """Which numbers of a matrix are that share of it with the largest gradients, or the smallest: at least one, and
    none of the largest that has no gradient.
    """
    size = gradient.abs().flatten()
    count = max(1, round(share * len(size)))
    if keep == "smallest":
        return gradient.abs() <= size.kthvalue(count).values
    return (gradient.abs() >= size.kthvalue(len(size) - count + 1).values) & gradient.ne(0)


def _starts(plan: Plan, erasure: Erasure, settings: Mask) -> list[Start]:
    """A run for each name and seed; a seed takes the next of the templates."""
    prompts, count = edit_prompts(plan, erasure.targets), len(wordings(plan, erasure.targets))
    anchors: Sequence[str | None] = [None] * len(prompts)
    if erasure.anchor is not None:
        anchors = [prompt.text for prompt in anchor_prompts(plan, erasure.targets, erasure.anchor)]
    frames = len(prompts) // count
    chosen = [(i % frames) * count + word for i in range(settings.seeds) for word in range(count)]
    return [
        Start(prompts[at].text, anchors[at], seed("mask", prompts[at].text, number, settings.seed))
        for number, at in enumerate(chosen)
    ]


def _intersected(
    part: BoundPass,
    plan: Plan,
    model: Model,
    edit: Edit,
    options: Options,
    starts: Sequence[Start],
    number: int,
    label: str,
) -> tuple[dict[Site, Tensor], dict[str, int]]:
    settings = part.settings
    assert isinstance(settings, Mask)
    key, path = _key(part, plan, model, number, options), None
    if options.state is not None:
        path = options.state / f"{settings.label}-{number}.safetensors"
    state = load(path, key) if path is not None else None
    found = {site: torch.ones(site.shape, dtype=torch.bool) for site in part.sites}
    counts, done = {"frozen": 0, "trained": 0}, 0
    if state is not None:
        done, counts = state.step, dict(state.counts)
        found = {site: state.tensors[site.tensor] for site in part.sites}
    if done < len(starts):
        paths = _sampled(model, starts, settings, options)
        counts["frozen"] = paths.evaluations
        encode = encoder(model, dict.fromkeys(start.prompt for start in starts))
        patch = edit.to(model)
        try:
            with between_steps() as check, unfrozen(model, part.sites, {}) as weights:
                for i in range(done, len(starts)):
                    batch = _batch(
                        part, paths, i, generator(f"mask {settings.label}", starts[i].prompt, i, settings.seed)
                    )
                    weights.forget()
                    loss = accumulate(model, batch, encode(batch.prompts), options)
                    if not torch.isfinite(torch.tensor(loss)):
                        raise EngineError(f"{settings.label}: a gradient of {label!r} is not finite")
                    for site, own in zip(part.sites, weights.parts, strict=True):
                        gradient = torch.zeros(site.shape) if own.grad is None else own.grad.flatten(1).cpu()
                        found[site] = found[site] & _left(site, gradient, settings)
                    counts["trained"] += len(batch.prompts)
                    if path is not None:
                        tensors = {site.tensor: mask for site, mask in found.items()}
                        save(State(key, i + 1, counts, (), tensors), path)
                    if options.progress is not None:
                        options.progress(f"masking {label}", i + 1, len(starts))
                    check()
        finally:
            patch.undo()
    return found, counts


def _left(site: Site, gradient: Tensor, settings: Mask) -> Tensor:
    """What a run leaves of a matrix: a share of the columns that an edit may change, and nothing of the others."""
    inside = torch.zeros(site.shape, dtype=torch.bool)
    inside[:, site.part] = leaves(gradient[:, site.part], settings.share, settings.keep)
    return inside


def _sampled(model: Model, starts: Sequence[Start], settings: Mask, options: Options) -> Trajectories:
    guidance = model.guidance if settings.guidance is None else settings.guidance

    def keep(batch: Sequence[Start], make: Callable[[], Trajectories]) -> Trajectories:
        return cached(
            trajectories_key(model, batch, settings.sampler_steps, guidance),
            make,
            options.cache,
            device=model.device.type,
        )

    return record(model, starts, settings.sampler_steps, guidance, options.progress, keep)


def _batch(part: BoundPass, paths: Trajectories, run: int, random: torch.Generator) -> Batch:
    """Places of one trajectory inside the window, drawn with repetition, each of the same weight."""
    settings = part.settings
    assert isinstance(settings, Mask)
    inside = torch.tensor(part.met.inside["during"])
    s = inside[torch.randint(len(inside), (settings.steps,), generator=random)]
    n = torch.full_like(s, run)
    return Batch(
        paths.latents[n, s],
        paths.times[s],
        (paths.prompts[run],) * settings.steps,
        target(PUSH, paths.seen(n, s), 1.0),
        torch.full((settings.steps,), 1 / settings.steps),
    )


def _key(part: BoundPass, plan: Plan, model: Model, number: int, options: Options) -> str:
    how = [options.autocast, str(model.dtype), model.device.type]
    facts = [plan.edit_digest, model.fingerprint, part.label, number, *how]
    scheme = model.fingerprint.rpartition(":")[0]
    return f"{scheme}:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"


def _told(masks: Mapping[Site, Tensor], share: float, runs: int) -> dict[str, Any]:
    """What is left, of all and of each matrix, and what masks that knew nothing of each other would have left."""
    left = {site.tensor: int(mask.sum()) for site, mask in masks.items()}
    sizes = {site.tensor: site.size for site in masks}
    return {
        "runs": runs,
        "left": sum(left.values()),
        "of": sum(sizes.values()),
        "share": sum(left.values()) / sum(sizes.values()),
        "by_chance": share**runs,
        "layers": {tensor: left[tensor] / sizes[tensor] for tensor in left},
    }
