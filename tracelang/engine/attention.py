"""Columns of attention maps: what the places of a picture give to some tokens of its prompt.

Fused attention gives back no map. Of `A = softmax(scale · q kᵀ)` the columns `S` need but their own products and each
query's log-sum-exp over all keys: `A_qs = exp(scale · q·k_s − lse_q)`. docs/methods.md §3.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tracelang.models.protocol import Attended

Blocks = Literal["all", "last"]

AT_ONCE = 2**23
"""Products of queries and keys held at once, and where gradients are asked for made again on the way back."""


def columns(one: Attended, row: int, tokens: Sequence[int]) -> Tensor:
    """`[heads, Q, len(tokens)]` of one prediction's map, in float32."""
    q, k = one.queries[row].float(), one.keys[row].float()
    at = torch.tensor(tokens, device=k.device)
    size = max(1, AT_ONCE // (len(k) * k.shape[1]))
    if size >= q.shape[1]:
        return _columns(q, k, at, one.scale)
    again = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
    parts = [
        checkpoint(_columns, part, k, at, one.scale, use_reentrant=False) if again else _columns(part, k, at, one.scale)
        for part in torch.split(q, size, 1)
    ]
    return torch.cat(parts, 1)


def _columns(q: Tensor, k: Tensor, at: Tensor, scale: float) -> Tensor:
    logits = scale * (q @ k.transpose(1, 2))
    found: Tensor = (logits[..., at] - logits.logsumexp(-1, keepdim=True)).exp()
    return found


def chosen(layers: Sequence[Attended], blocks: Blocks) -> Sequence[Attended]:
    """All layers, or the last of them."""
    return layers if blocks == "all" else layers[-1:]


def middle(layers: Sequence[Attended], side: int) -> Sequence[Attended]:
    """Those whose grid is nearest to a quarter of the latents' `side`: there maps tell things apart, and are not yet
    coarse. Of Stable Diffusion 1.x that is 16 by 16; where all are alike, it is all of them.
    """
    off = [abs(math.log(4 * one.rows / side)) for one in layers]
    return [one for one, far in zip(layers, off, strict=True) if far == min(off)]
