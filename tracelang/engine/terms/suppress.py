from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tracelang.engine.attention import chosen, columns, middle
from tracelang.engine.looking import Asking
from tracelang.models.protocol import Attended, TokenLayout
from tracelang.plan.prompts import Prompt
from tracelang.semantics.terms.suppress import Suppress

THRESHOLD = 0.1
"""Of a map between 0 and 1, what lies above it is the concept's place (Receler, arXiv 2311.17717)."""


def tokens(term: Suppress, layout: TokenLayout) -> tuple[int, ...]:
    """The rows `S` of a prompt's states."""
    ends = range(layout.end, layout.length) if term.tokens == "padded" else ()
    return tuple(dict.fromkeys((*layout.phrase, *ends)))


def asks(term: Suppress, ask: Asking, prompts: Sequence[Prompt]) -> list[Sequence[Prompt]]:
    """What the unedited model is asked, of each trajectory: where its own prompt's phrase is drawn."""
    ask.tokens(prompts)
    return [prompts] if term.mask == "own" else []


def told(term: Suppress, ask: Asking, asks: Sequence[Sequence[Prompt]]) -> Tensor:
    """The masks `[n, S, rows, columns]`, one for each trajectory: from where in its picture the phrase gets attention,
    in the mean over the steps of the window (docs/methods.md §3.7).
    """
    n, steps = len(ask.paths), len(ask.paths.times)
    if not asks:
        return torch.ones(n, steps, 1, 1)
    side = ask.model.latents.drawn[1]

    def where(layers: Sequence[Attended], row: int, phrase: Sequence[int]) -> Tensor:
        maps = [columns(one, row, phrase).mean((0, 2)).view(one.rows, one.columns) for one in middle(layers, side)]
        return torch.stack(maps).mean(0)

    mean = ask.read(asks[0], where)[:, list(ask.steps)].mean(1)
    low, high = mean.amin((1, 2), keepdim=True), mean.amax((1, 2), keepdim=True)
    inside = ((mean - low) / (high - low).clamp_min(1e-12) > THRESHOLD).float()
    return inside[:, None].expand(-1, steps, -1, -1)


def error(term: Suppress, layers: Sequence[Attended], row: int, tokens: Sequence[int], told: Tensor) -> Tensor:
    """The mean over layers of the mean of `A²` inside the mask; `norm`: the sum of the layers' `‖A‖`."""
    found = []
    for one in chosen(layers, term.blocks):
        inside = interpolate(told[None, None].float(), (one.rows, one.columns), mode="nearest").flatten() > 0.5
        A = columns(one, row, tokens)[:, inside.to(one.keys.device)]
        size = A.square()
        if not size.numel():
            found.append(size.sum())
        else:
            found.append(size.mean() if term.reduce == "mean" else size.sum().sqrt())
    total = torch.stack(found)
    return total.mean() if term.reduce == "mean" else total.sum()
