"""Edited weights as a loader would change them: rounded to few bits, or merged with the base's (docs/methods.md §5.9).

Rounded are the weights of every linear layer of the denoiser, and nothing else: what bitsandbytes, torchao and GGUF
loaders quantise. Convolutions, norms and biases keep their bytes, and so do autoencoder and text encoders.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.models.protocol import Model
from tracelang.plan.family import Site

BLOCK = 64
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The levels of NormalFloat4: quantiles of a normal distribution, with an exact zero (arXiv 2305.14314, appendix E)."""


def int8(weight: Tensor) -> Tensor:
    """Whole numbers −127 to 127, a scale for each row: its largest magnitude over 127."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    return torch.where(scale > 0, (weight / scale).round() * scale, weight)


def fp8(weight: Tensor) -> Tensor:
    """e4m3 without a scale, as loaders cast: 3 bits of mantissa, and what is beyond ±448 becomes that."""
    most = torch.finfo(torch.float8_e4m3fn).max
    return weight.clamp(-most, most).to(torch.float8_e4m3fn).to(weight.dtype)


def nf4(weight: Tensor) -> Tensor:
    """Blocks of 64 numbers in the order of memory, each block's largest magnitude its scale, to the nearest level."""
    flat = weight.flatten()
    blocks = nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True)
    levels = torch.tensor(NF4, dtype=weight.dtype, device=weight.device)
    between = (levels[1:] + levels[:-1]) / 2
    found = levels[torch.bucketize(torch.where(scale > 0, blocks / scale, 0.0), between)] * scale
    return found.flatten()[: len(flat)].view_as(weight)


def bf16(weight: Tensor) -> Tensor:
    return weight.to(torch.bfloat16).to(weight.dtype)


ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {"int8": int8, "fp8": fp8, "nf4": nf4, "bf16": bf16}
"""By the language's names: a float32 matrix to the same matrix, rounded."""


def linear(model: Model) -> dict[str, Tensor]:
    """The weights of the denoiser's linear layers, by name."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.denoiser.named_modules()
        if isinstance(module, nn.Linear)
    }


def apart(model: Model) -> Model:
    """The same model over a copy of its denoiser, which can be changed in place: models share what is equal."""
    other = copy.copy(model)
    object.__setattr__(other, "denoiser", copy.deepcopy(model.denoiser))
    return other


@torch.no_grad()
def rounded(model: Model, to: str) -> Model:
    """A copy whose linear layers are rounded."""
    other = apart(model)
    for weight in linear(other).values():
        weight.data.copy_(ROUNDED[to](weight.data.float()))
    return other


@torch.no_grad()
def merged(base: Model, edited: Model, share: float) -> Model:
    """A copy of the edited model with weights `(1 − share) W' + share W`: at 0 the edit, at 1 the base, bit for bit."""
    other = apart(edited)
    before = dict(base.denoiser.named_parameters())
    for name, weight in other.denoiser.named_parameters():
        old = before[name].data
        if not torch.equal(old, weight.data):
            wide = torch.promote_types(weight.dtype, torch.float32)
            weight.data.copy_(torch.lerp(weight.data.to(wide), old.to(wide), share))
    return other


@torch.no_grad()
def added(edited: Model, factors: Mapping[Site, LowRank], strength: float) -> Model:
    """A copy of the edited model with an adapter merged into its weights, `W' + strength · up down`."""
    other = apart(edited)
    for site, one in factors.items():
        weight = other.weight(site)
        wide = torch.promote_types(weight.dtype, torch.float32)
        change = (strength * (one.up @ one.down)).to(weight.device, wide)
        weight.data.copy_(weight.data.to(wide) + change)
    return other


@dataclass(frozen=True, slots=True)
class Survival:
    """What rounding leaves of an edit. With `δQ = Q(W') − Q(W)` and `Δ = W' − W` over every matrix that is rounded:
    `share` is `⟨δQ, Δ⟩ / ‖Δ‖²`, 1 where all of the edit is there; `cosine` of the two is less where noise came with it.
    """

    share: float
    cosine: float


def survival(base: Model, edited: Model, to: str) -> Survival | None:
    """None where no matrix that is rounded was edited."""
    along = whole = size = 0.0
    after = linear(edited)
    for name, weight in linear(base).items():
        W, W2 = weight.detach().float(), after[name].detach().float()
        if torch.equal(W, W2):
            continue
        δQ, Δ = exact(ROUNDED[to](W2) - ROUNDED[to](W)), exact(W2) - exact(W)
        along, whole, size = (
            along + float((δQ * Δ).sum()),
            whole + float(Δ.square().sum()),
            size + float(δQ.square().sum()),
        )
    if not whole:
        return None
    return Survival(along / whole, along / (whole * size) ** 0.5 if size else 0.0)
