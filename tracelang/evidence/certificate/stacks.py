"""All the matrices that read one text input, on top of each other: the one text map that explains their change best,
and the states that undo it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.evidence.certificate.matrices import Matrix

NOISE = 1e-6
"""Directions in which the edited matrices pass less than this share of their most are closed: float32 cannot tell."""
CHEAPER = (0.5, 0.8, 0.95)
"""Shares of an edit's effect whose price is told beside that of all there is: the last per cent may cost a hundred
times the rest.
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """All the matrices that read one text input, on top of each other, as the factor `R` of `[Δ W] = QR`.

    Q keeps lengths, so `‖W'x − Wy‖` over all layers is that of these `[≤2d, d]` matrices. `U`, `σ`, `V` are the
    decomposition of the edited ones, closed directions left out.
    """

    W: Tensor
    Δ: Tensor
    U: Tensor
    σ: Tensor
    V: Tensor

    @staticmethod
    def of(matrices: Iterable[Matrix]) -> Stack:
        Δ, W = stacked(matrices)
        U, σ, Vh = torch.linalg.svd(W + Δ, full_matrices=False)
        open_ = σ > NOISE * σ.amax()
        return Stack(W, Δ, U[:, open_], σ[open_], Vh[open_].T)

    def closest(self, F: Tensor) -> tuple[Tensor, float]:
        """The shortest `E` that minimises `‖W'E − WF‖`, and that minimum squared."""
        wanted = self.W @ F
        inside = self.U.T @ wanted
        return self.V @ (inside / self.σ[:, None]), float((wanted - self.U @ inside).square().sum())

    def spectrum(self, F: Tensor) -> tuple[Tensor, Tensor]:
        """σ² and ‖uᵀWF‖² of every open direction: all that the length of `E` and what it misses depend on."""
        return self.σ.square(), (self.U.T @ (self.W @ F)).square().sum(1)


def cheaper_states(
    spectra: list[tuple[Tensor, Tensor]], missed: float, effect: float, shorter: float
) -> Iterator[tuple[float, float]]:
    """For each share of `CHEAPER` that can be reached, the length of the shortest `E` that undoes it, of the concept's.

    Shortest at a given rest: `E = argmin ‖W'E − WF‖² + λ‖E‖²`, one λ for all text inputs, by bisection: the rest grows
    with λ. `missed` is what no `E` reaches.
    """
    if not spectra or not effect:
        return
    σ2, a = (torch.cat([one[i] for one in spectra]) for i in (0, 1))

    def rest(λ: float) -> float:
        return missed + float(((λ / (σ2 + λ)).square() * a).sum())

    for share in CHEAPER:
        allowed = (1 - share) * effect
        low, high = math.log(1e-14 * float(σ2.max())), math.log(1e6 * float(σ2.max()))
        if rest(math.exp(low)) > allowed:
            return
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if rest(math.exp(middle)) <= allowed else (low, middle)
        λ = math.exp(low)
        yield share, math.sqrt(float((σ2 / (σ2 + λ).square() * a).sum()) / shorter)


@dataclass(frozen=True, slots=True)
class Map:
    """The best single text map `T` of one input: what it leaves of the change and the whole of it, squared."""

    missed: float
    whole: float
    lowest: float
    condition: float


def text_map(matrices: list[Matrix]) -> Map:
    """Least squares over the changed matrices: `W T ≈ W'`, in the directions that they read; the identity elsewhere."""
    if not matrices:
        return Map(0.0, 0.0, 1.0, 1.0)
    Δ, W = stacked(matrices)
    D = torch.linalg.lstsq(W, Δ, rcond=1e-10, driver="gelsd").solution
    σ = torch.linalg.svdvals(torch.eye(len(D), dtype=D.dtype) + D)
    missed = float((W @ D - Δ).square().sum())
    return Map(missed, float(Δ.square().sum()), float(σ[-1]), float(σ[0] / σ[-1].clamp_min(1e-16 * float(σ[0]))))


def stacked(matrices: Iterable[Matrix]) -> tuple[Tensor, Tensor]:
    rows = torch.zeros(0, 0, dtype=torch.float64)
    for one in matrices:
        pair = torch.cat([one.Δ, one.W], 1)
        rows = torch.cat([rows, pair]) if len(rows) else pair
        if len(rows) > 2 * rows.shape[1]:
            rows = torch.linalg.qr(rows, mode="r").R
    Δ, W = rows.chunk(2, 1)
    return Δ, W
