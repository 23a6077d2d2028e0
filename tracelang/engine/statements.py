"""From a plan's statements to the constraints of the closed form: what moves, where to, and what must stay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.protocol import Model
from tracelang.engine.text_map import Constraints
from tracelang.engine.tokens import SINGLE, Pairs, align
from tracelang.plan.prompts import EMPTY, Prompt, anchor_prompts, canonical_phrase, edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, RefinePass

States = dict[str, Tensor]


def constraints(plan: Plan, settings: RefinePass, model: Model, inputs: Sequence[str]) -> dict[str, Constraints]:
    """The columns of the closed form for each text input, by the table "what each statement does" in LANGUAGE.md.

    - no anchor: `G` is the neutral state ∅, position by position;
    - `toward Y`: `G` is Y's states, aligned as `tokens.align` says;
    - `away`: `g = f − u uᵀ(f − ∅)`, with `u` the unit mean of `f − ∅` over the statement's own states: what sets X
      apart from nothing goes, what its prompts differ in among themselves stays;
    - `degree p`: `G ← F + p (G − F)`, which is the matrix `D` of `T = I + a (G − F) D K⁻¹ Uᵀ`;
    - preserved: every state of every prompt after the start token, with the statement's weight;
    - always preserved: all states of the empty prompt, start token included, at weight 1.

    Raises `EngineError` where a phrase has no tokens in its prompt, or a state is not finite.
    """
    nothing = states(model, [EMPTY])
    pairs = [_erased(plan, erasure, settings, model, nothing, inputs) for erasure in plan.active]
    kept = [({name: nothing[name][0].T for name in inputs}, 1.0)]
    kept += [(_kept(plan, one.concepts, model, inputs), one.weight) for one in plan.preserve]
    result = {}
    for name in inputs:
        F, G = (torch.cat([pair[name][side] for pair in pairs], 1) for side in (0, 1))
        P = torch.cat([columns[name] for columns, _ in kept], 1)
        w = torch.cat([torch.full((columns[name].shape[1],), weight, dtype=P.dtype) for columns, weight in kept])
        a = torch.full((F.shape[1],), settings.erase_weight, dtype=F.dtype)
        result[name] = Constraints(F, G, a, P, w)
    return result


def _erased(
    plan: Plan, erasure: Erasure, settings: RefinePass, model: Model, nothing: States, inputs: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:
    targets, anchors = edit_prompts(plan, erasure.targets), anchor_prompts(plan, erasure.targets, erasure.anchor)
    e, z = states(model, targets), states(model, anchors)
    aligned = [_pairs(settings, model, *pair) for pair in zip(targets, anchors, strict=True)]
    result = {}
    for name in inputs:
        pairs = [(i, *pair) for i, rows in enumerate(aligned) for pair in (rows if e[name].shape[1] > 1 else SINGLE)]
        i, row, to = (list(column) for column in zip(*pairs, strict=True))
        F, G, neutral = e[name][i, row], z[name][i, to], nothing[name][0, row]
        if not (torch.isfinite(F).all() and torch.isfinite(G).all()):
            label = canonical_phrase(plan, erasure.targets)
            raise EngineError(f"refine: the text states ({name}) of {label!r} or of its anchor hold NaN or infinity")
        if erasure.away:
            u = (F - neutral).mean(0)
            u = u / u.norm().clamp_min(1e-300)
            G = F - ((F - neutral) @ u)[:, None] * u
        if erasure.degree < 1:
            G = F + erasure.degree * (G - F)
        result[name] = F.T, G.T
    return result


def _pairs(settings: RefinePass, model: Model, target: Prompt, anchor: Prompt) -> Pairs:
    layouts = model.layout(target), model.layout(anchor)
    for prompt, layout in zip((target, anchor), layouts, strict=True):
        if prompt.phrase and not layout.phrase:
            raise EngineError(f"refine: the words {prompt.phrase!r} have no tokens in the prompt {prompt.text!r}")
    return align(settings.tokens, *layouts)


def _kept(plan: Plan, member: Member, model: Model, inputs: Sequence[str]) -> dict[str, Tensor]:
    prompts = edit_prompts(plan, member)
    e = states(model, prompts)
    starts = [model.layout(prompt).start for prompt in prompts]
    result = {}
    for name in inputs:
        rows = [one[start:] if len(one) > 1 else one for one, start in zip(e[name], starts, strict=True)]
        result[name] = torch.cat(rows).T
        if not torch.isfinite(result[name]).all():
            phrase = canonical_phrase(plan, member)
            raise EngineError(f"refine: the text states ({name}) of the preserved {phrase!r} hold NaN or infinity")
    return result


def states(model: Model, prompts: Sequence[Prompt]) -> States:
    """Each text input's states `[n, L, d]` in float64 on the CPU; equal prompts encoded once."""
    row = {text: i for i, text in enumerate(dict.fromkeys(prompt.text for prompt in prompts))}
    index = [row[prompt.text] for prompt in prompts]
    states = model.encode(list(row)).inputs
    return {name: value.detach().to("cpu", torch.float64)[index] for name, value in states.items()}
