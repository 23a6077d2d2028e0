"""A change of one matrix: as two thin factors, or whole where it is of no low rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.up), self.down.shape[1]

    def narrowed(self, part: slice) -> LowRank:
        """Of some columns of the matrix alone, such as those that an edit may change (`Site.part`)."""
        return LowRank(self.up, self.down[:, part])

    def widened(self, part: slice, width: int) -> LowRank:
        """The way back, in a matrix of `width` columns: the others are not changed."""
        down = self.down.new_zeros(self.rank, width)
        down[:, part] = self.down
        return LowRank(self.up, down)

    def dense(self) -> Tensor:
        return self.up @ self.down

    def norm(self) -> float:
        """‖ΔW‖_F without forming it."""
        gram = (self.up.T @ self.up) * (self.down @ self.down.T)
        return math.sqrt(max(float(gram.sum()), 0.0))


@dataclass(frozen=True, slots=True)
class Dense:
    """`ΔW [out, in]` itself, float64."""

    matrix: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    def dense(self) -> Tensor:
        return self.matrix

    def norm(self) -> float:
        """‖ΔW‖_F."""
        return float(self.matrix.norm())


def add(parts: Sequence[LowRank]) -> LowRank:
    """The sum, factors side by side."""
    if len(parts) == 1:
        return parts[0]
    return LowRank(torch.cat([part.up for part in parts], 1), torch.cat([part.down for part in parts]))


def compress(change: LowRank, tolerance: float = 1e-7) -> LowRank:
    """The same change at its numerical rank: singular values below `tolerance` × the largest are dropped.

    Of every row of `down` the largest entry is positive. Columns that are not changed stay exactly so.
    """
    return _shortened(change, lambda σ: int((σ > tolerance * σ[:1]).sum()))


def truncated(change: LowRank, error: float, rank: int | None = None) -> LowRank:
    """The change of lowest rank that is no further from this one than `error` of its norm, ‖·‖_F; with a `rank`, the
    nearest one of that rank instead (Eckart and Young, 1936). Laid out as `compress` does it.
    """

    def kept(σ: Tensor) -> int:
        numerical = int((σ > 1e-7 * σ[:1]).sum())
        if rank is not None:
            return min(rank, numerical)
        left = σ.square().flip(0).cumsum(0).flip(0)  # left[r] is lost at rank r
        return min(int((left > error**2 * left[:1]).sum()), numerical)

    return _shortened(change, kept)


def _shortened(change: LowRank, kept: Callable[[Tensor], int]) -> LowRank:
    """The first `kept(σ)` singular pairs, each factor with the root of its value."""
    seen = change.down.ne(0).any(0)
    if not seen.all() and seen.any():
        narrow = _shortened(LowRank(change.up, change.down[:, seen]), kept)
        down = narrow.down.new_zeros(narrow.rank, len(seen))
        down[:, seen] = narrow.down
        return LowRank(narrow.up, down)
    Qu, Ru = torch.linalg.qr(change.up)
    Qd, Rd = torch.linalg.qr(change.down.T)
    middle = Ru @ Rd.T
    del Ru, Rd
    U, σ, Vt = torch.linalg.svd(middle, full_matrices=False)
    r = kept(σ)
    root = σ[:r].sqrt()
    up, down = Qu @ (U[:, :r] * root), (root[:, None] * Vt[:r]) @ Qd.T
    peak = down.gather(1, down.abs().argmax(1, keepdim=True))
    sign = torch.ones_like(peak).copysign(peak)  # a pair's signs are free, and LAPACK's depend on the threads
    return LowRank(up * sign.T, down * sign)
