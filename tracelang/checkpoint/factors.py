"""Low-rank changes of a matrix, `ΔW = up @ down`, brought to the fewest and best-scaled factors."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class LowRank(Protocol):
    """A change of one matrix `[out, in]`: `up [out, r] @ down [r, in]`."""

    @property
    def up(self) -> Tensor: ...

    @property
    def down(self) -> Tensor: ...


class Factors(NamedTuple):
    """A plain `LowRank`."""

    up: Tensor
    down: Tensor


def compress(delta: LowRank, tolerance: float = 1e-7) -> Factors:
    """The same product with the numerical rank's worth of factors, float64; rank 0 where it is zero.

    Singular values up to `tolerance` times the largest are dropped and the rest split evenly between both factors,
    so that neither leaves the range of a half. The product itself is never formed: QR of each, SVD of `r × r`.
    """
    left, upper = torch.linalg.qr(delta.up.cpu().double())
    right, lower = torch.linalg.qr(delta.down.cpu().double().T)
    u, singular, v = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    kept = int((singular > tolerance * singular[:1]).sum())
    root = singular[:kept].sqrt()
    return Factors(left @ (u[:, :kept] * root), (root[:, None] * v[:kept]) @ right.T)
