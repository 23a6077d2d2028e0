"""Changes that preserved states cannot see: `T = I + (G − F)(ρI + FᵀPF)⁻¹FᵀP` (docs/methods.md §4.3).

`P = I − U Uᵀ` projects on the free directions, `U` an orthonormal basis of the held ones. `(T − I)U` is 0 to rounding,
since the rows of `T − I` lie in the free directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.exact import exact
from tracelang.engine.text_map import CHUNK, TextMap

SAME = 1e-6
"""Free parts of states below this share of the states' largest singular value count as none."""


@dataclass(frozen=True, slots=True, eq=False)
class NullSpace:
    """`held` is `U [d, r]`, float64, its columns orthonormal."""

    held: Tensor

    @property
    def free(self) -> int:
        """How many directions are free."""
        return self.held.shape[0] - self.held.shape[1]

    def project(self, columns: Tensor) -> Tensor:
        """`P X`, of columns `[d, n]` in float64. Done twice, so that nothing of what is held is left but rounding."""
        for _ in range(2):
            columns = columns - self.held @ (self.held.T @ columns)
        return columns

    def angle(self, columns: Tensor) -> float:
        """The sine of the angle of states `[d, n]` to the held directions, over all of them: `‖PX‖/‖X‖`."""
        size = float(columns.norm())
        return float(self.project(columns).norm()) / size if size else 0.0

    def beside(self, columns: Tensor) -> NullSpace:
        """With these columns `[d, n]` held too; what of them is held already counts as nothing."""
        U, σ, _ = torch.linalg.svd(self.project(columns), full_matrices=False)
        more = U[:, σ > SAME * float(columns.norm())]
        return NullSpace(torch.cat([self.held, self.project(more)], 1))


def null_space(columns: Tensor, weights: Tensor, threshold: float, absolute: bool = False) -> NullSpace:
    """What columns `[d, m]` with weights `[m]` leave free: directions in which the root of their mean Gram's eigenvalue
    is at most `threshold` of the largest; `absolute`: the eigenvalue itself at most `threshold`.
    """
    S = torch.zeros(2 * (len(columns),), dtype=torch.float64)
    for part, w in zip(torch.split(columns, CHUNK, 1), torch.split(weights, CHUNK), strict=True):
        scaled = exact(part) * w.sqrt()
        S.addmm_(scaled, scaled.T)
    λ, U = torch.linalg.eigh(S / weights.sum().clamp_min(1e-300))
    λ = λ.clamp_min(0)
    return NullSpace(U[:, λ > (threshold if absolute else threshold**2 * λ[-1])])


def solve(F: Tensor, G: Tensor, space: NullSpace, ridge: float) -> TextMap:
    """`T` for columns `F → G` `[d, n]` in float64, at a ridge `ρ ≥ 0`; at 0 the inverse is a pseudo-inverse."""
    least = SAME * float(torch.linalg.matrix_norm(F, 2))
    Z = space.project(F)
    if Z.shape[1] > len(Z):
        λ, U = torch.linalg.eigh(Z @ Z.T)
        open_ = λ > least**2
        U, σ2 = U[:, open_], λ[open_]
        left = (G - F) @ (Z.T @ U) / (σ2 + ridge)
    else:
        U, σ, Vh = torch.linalg.svd(Z, full_matrices=False)
        open_ = σ > least
        U, σ = U[:, open_], σ[open_]
        left = (G - F) @ Vh[open_].T * (σ / (σ.square() + ridge))
    return TextMap(left.contiguous(), space.project(U))
