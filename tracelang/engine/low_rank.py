"""A change of one matrix as two thin factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LowRank:
    """`ΔW = up @ down`, `up [out, r]`, `down [r, in]`, float64."""

    up: Tensor
    down: Tensor

    @property
    def rank(self) -> int:
        return len(self.down)

    def dense(self) -> Tensor:
        return self.up @ self.down

    def norm(self) -> float:
        """‖ΔW‖_F without forming it."""
        gram = (self.up.T @ self.up) * (self.down @ self.down.T)
        return math.sqrt(max(float(gram.sum()), 0.0))


def add(parts: Sequence[LowRank]) -> LowRank:
    """The sum, factors side by side."""
    if len(parts) == 1:
        return parts[0]
    return LowRank(torch.cat([part.up for part in parts], 1), torch.cat([part.down for part in parts]))


def compress(change: LowRank, tolerance: float = 1e-7) -> LowRank:
    """The same change at its numerical rank: singular values below `tolerance` × the largest are dropped.

    Of every row of `down` the largest entry is positive.
    """
    Qu, Ru = torch.linalg.qr(change.up)
    Qd, Rd = torch.linalg.qr(change.down.T)
    middle = Ru @ Rd.T
    del Ru, Rd
    U, σ, Vt = torch.linalg.svd(middle)
    r = int((σ > tolerance * σ[:1]).sum())
    root = σ[:r].sqrt()
    up, down = Qu @ (U[:, :r] * root), (root[:, None] * Vt[:r]) @ Qd.T
    peak = down.gather(1, down.abs().argmax(1, keepdim=True))
    sign = torch.ones_like(peak).copysign(peak)  # a pair's signs are free, and LAPACK's depend on the threads
    return LowRank(up * sign.T, down * sign)
