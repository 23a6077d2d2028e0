"""From a plan's statements to the constraints of the closed form: what moves, where to, and what must stay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact as wide
from tracelang.engine.text_map import Constraints
from tracelang.engine.tokens import SINGLE, Pairs, align
from tracelang.models.protocol import TextSide, TokenLayout
from tracelang.plan.prompts import EMPTY, Prompt, anchor_prompts, canonical_phrase, edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Preservation, Tokens

States = dict[str, Tensor]
BROKEN = "a text encoder or its weights are damaged: use a base without"


def constraints(
    plan: Plan,
    erased: Sequence[Erasure],
    preserved: Sequence[Preservation],
    text: TextSide,
    inputs: Sequence[str],
    tokens: Tokens,
    erase_weight: float = 1.0,
) -> dict[str, Constraints]:
    """The columns of the closed form of some of a plan's statements, for each text input, by the table "what each
    statement does" in docs/language.md.

    - no anchor: `G` is the neutral state ∅, position by position;
    - `toward Y`: `G` is Y's states, aligned as `tokens.align` says;
    - `away`: `g = f − u uᵀ(f − ∅)`, with `u` the unit mean of `f − ∅` over the statement's own states, one for those
      of the phrase and one for those around it, which carry its meaning differently (of an input with one state a
      prompt, one for all): what sets X apart from nothing goes, what its prompts differ in among themselves stays;
    - `degree p`: `G ← F + p (G − F)`, which is the matrix `D` of `T = I + a (G − F) D K⁻¹ Uᵀ`;
    - preserved: every state of every prompt after the start token, with the statement's weight;
    - always preserved: all states of the empty prompt, start token included, at weight 1.

    Raises `EngineError` where a phrase has no tokens in its prompt, or a state is not finite.
    """
    pairs = erased_rows(plan, erased, text, inputs, tokens)
    result = {}
    P, w = held_columns(plan, preserved, text, inputs)
    for name in inputs:
        F, G = (columns([pair[side].pop(name) for pair in pairs]) for side in (0, 1))
        a = torch.full((F.shape[1],), erase_weight, dtype=F.dtype)
        result[name] = Constraints(F, G, a, P.pop(name), w.pop(name))
    return result


def erased_rows(
    plan: Plan, erased: Sequence[Erasure], text: TextSide, inputs: Sequence[str], tokens: Tokens
) -> list[tuple[States, States]]:
    """Of each statement the rows `f` and their targets `g`, by text input, `[n, d]`."""
    nothing = states(text, [EMPTY])
    return [_erased(plan, erasure, tokens, text, nothing, inputs) for erasure in erased]


def held_columns(
    plan: Plan, preserved: Sequence[Preservation], text: TextSide, inputs: Sequence[str], last: bool = False
) -> tuple[States, States]:
    """The preserved columns `P [d, m]` of each text input and their weights `[m]`: all states of the empty prompt, and
    of preserved prompts all after the start token, or of each the `last` one of its phrase alone.
    """
    kept = [({name: value[0] for name, value in states(text, [EMPTY], exact=False).items()}, 1.0)]
    kept += [(_kept(plan, one.concepts, text, inputs, last), one.weight) for one in preserved]
    w = {
        name: torch.cat([torch.full((len(rows[name]),), weight, dtype=torch.float64) for rows, weight in kept])
        for name in inputs
    }
    return {name: columns([rows.pop(name) for rows, _ in kept]) for name in inputs}, w


def columns(parts: list[Tensor]) -> Tensor:
    """All rows as columns `[d, n]`; a part is let go as soon as it is copied, for they are most of the memory."""
    rows = parts[0].new_empty((sum(map(len, parts)), parts[0].shape[1]))
    end = len(rows)
    while parts:
        part = parts.pop()
        rows[end - len(part) : end] = part
        end -= len(part)
    return rows.T


def _erased(
    plan: Plan, erasure: Erasure, tokens: Tokens, text: TextSide, nothing: States, inputs: Sequence[str]
) -> tuple[States, States]:
    """The rows `f` and `g` of one statement, by input."""
    targets, anchors = edit_prompts(plan, erasure.targets), anchor_prompts(plan, erasure.targets, erasure.anchor)
    e, z = states(text, targets), states(text, anchors)
    aligned = [_pairs(tokens, text, *pair) for pair in zip(targets, anchors, strict=True)]
    phrases = [text.layout(target).phrase for target in targets]
    before, after = States(), States()
    for name in inputs:
        many = e[name].shape[1] > 1
        pairs = [(i, *pair) for i, rows in enumerate(aligned) for pair in (rows if many else SINGLE)]
        i, row, to = (list(column) for column in zip(*pairs, strict=True))
        F, G, neutral = e[name][i, row], z[name][i, to], nothing[name][0, row]
        if not (torch.isfinite(F).all() and torch.isfinite(G).all()):
            label = canonical_phrase(plan, erasure.targets)
            raise EngineError(f"the text states ({name}) of {label!r} or of its anchor hold NaN or infinity; {BROKEN}")
        if erasure.away:
            inside = torch.tensor([many and at in phrases[number] for number, at in zip(i, row, strict=True)])
            G = F - _along_mean(F - neutral, inside)
        if erasure.degree < 1:
            G = F + erasure.degree * (G - F)
        before[name], after[name] = F, G
    return before, after


def _along_mean(moved: Tensor, inside: Tensor) -> Tensor:
    """Of rows `[n, d]` the component along their mean; those inside the phrase and the others have a mean each."""
    result = torch.zeros_like(moved)
    for group in (inside, ~inside):
        if group.any():
            u = moved[group].mean(0)
            u = u / u.norm().clamp_min(1e-300)
            result[group] = (moved[group] @ u)[:, None] * u
    return result


def _pairs(tokens: Tokens, text: TextSide, target: Prompt, anchor: Prompt) -> Pairs:
    layouts = text.layout(target), text.layout(anchor)
    for prompt, layout in zip((target, anchor), layouts, strict=True):
        if prompt.phrase and not layout.phrase:
            raise EngineError(f"the words {prompt.phrase!r} have no tokens in the prompt {prompt.text!r}")
    return align(tokens, *layouts)


def _kept(plan: Plan, member: Member, text: TextSide, inputs: Sequence[str], last: bool) -> States:
    """The rows of a preserved concept, by input, in the dtype that they were encoded in."""
    prompts = edit_prompts(plan, member)
    e = states(text, prompts, exact=False)
    layouts = [text.layout(prompt) for prompt in prompts]
    chosen = [_last(one) if last else slice(one.start, None) for one in layouts]
    result = {}
    for name in inputs:
        rows = [one[part] if len(one) > 1 else one for one, part in zip(e[name], chosen, strict=True)]
        result[name] = torch.cat(rows)
        if not torch.isfinite(result[name]).all():
            phrase = canonical_phrase(plan, member)
            raise EngineError(f"the text states ({name}) of the preserved {phrase!r} hold NaN or infinity; {BROKEN}")
    return result


def _last(layout: TokenLayout) -> slice:
    """The last state of the phrase; of a phrase that was cut off, the last of the prompt's content."""
    at = (layout.phrase or (layout.end - 1,))[-1]
    return slice(at, at + 1)


def states(text: TextSide, prompts: Sequence[Prompt], exact: bool = True) -> States:
    """Each text input's states `[n, L, d]` on the CPU, in float64 if `exact`; equal prompts encoded once."""
    row = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompt.text for prompt in prompts))}
    index = [row[prompt.text] for prompt in prompts]
    found = text.encode(list(row)).inputs
    held = {name: wide(value) if exact else value.detach().cpu() for name, value in found.items()}
    return held if index == list(range(len(row))) else {name: value[index] for name, value in held.items()}
