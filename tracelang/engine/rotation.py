"""One orthogonal left map a matrix: `W' = P W` with `P = U Vᵀ` of `M = U Σ Vᵀ` (docs/methods.md §4.4).

    M = −a (I − R*) R + S,   S = W K Wᵀ,

`R` and `R*` project on what the matrix makes of erased states and of their anchors, `K` is the Gram of what is held.
`P` is the orthogonal minimum of `−a ‖P R − (I − R*)‖² + ‖P W K^½ − W K^½‖²`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SAME = 1e-4
"""Singular values of unit columns below this share of the largest count as none."""


@dataclass(frozen=True, slots=True)
class Turn:
    """`P [o, o]`, orthogonal, and the ranks of `R` and `R*`."""

    P: Tensor
    erased: int
    anchors: int


def turn(W: Tensor, F: Tensor, G: Tensor, K: Tensor, weight: float, compat: Sequence[str] = ()) -> Turn:
    """The map of one matrix `W [o, d]`, for states `F → G` `[d, n]` and the Gram `K [d, d]`, all float64.

    `a` is `weight` times the largest that `S` is along an erased direction: above it a direction is reversed. Outside
    of what `W` can give, `P` is the identity. `compat` names quirks of the release to reproduce: the `transposed` sum,
    a basis in which `repeated` columns count anew, and the sign of one channel for the `determinant`.
    """
    basis = _repeated if "repeated" in compat else _basis
    Q, A = basis(W @ F), basis(W @ G)
    S = W @ K @ W.T
    a = weight * float(torch.linalg.eigvalsh(Q.T @ S @ Q)[-1]) if Q.shape[1] else 0.0
    apart = Q - A @ (A.T @ Q)
    M = S - a * (Q @ apart.T if "transposed" in compat else apart @ Q.T)
    B = _spanned(W, 1e-10)
    U, _, Vh = torch.linalg.svd(B.T @ M @ B)
    P = torch.eye(len(W), dtype=W.dtype) + B @ (U @ Vh - torch.eye(B.shape[1], dtype=W.dtype)) @ B.T
    if "determinant" in compat and torch.linalg.slogdet(P).sign < 0:
        P[:, -1] *= -1
    return Turn(P, Q.shape[1], A.shape[1])


def reversed_share(P: Tensor) -> float:
    """The share of directions that `P` turns by more than a right angle: of its eigenvalues, those with a real part
    below 0. Of an orthogonal matrix these are the eigenvalues of its symmetric part.
    """
    return float((torch.linalg.eigvalsh((P + P.T) / 2) < 0).float().mean())


def _basis(columns: Tensor) -> Tensor:
    return _spanned(_units(columns), SAME)


def _repeated(columns: Tensor) -> Tensor:
    """Plain reduced QR: a column that depends on others comes out as some direction all the same."""
    Q: Tensor = torch.linalg.qr(_units(columns)).Q
    return Q


def _units(columns: Tensor) -> Tensor:
    units: Tensor = columns / columns.norm(dim=0).clamp_min(1e-300)
    return units


def _spanned(columns: Tensor, least: float) -> Tensor:
    """An orthonormal basis of the span; singular values up to `least` of the largest count as none."""
    U: Tensor
    U, σ, _ = torch.linalg.svd(columns, full_matrices=False)
    return U[:, σ > least * σ.amax(0)]
