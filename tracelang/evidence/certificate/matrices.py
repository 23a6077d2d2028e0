"""What the edit did to one matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite
from tracelang.evidence.schema import LayerChange
from tracelang.plan.family import Site

RANK = 1e-6
"""Singular values of a change below this share of its largest do not count."""
FLOOR = 1e-8
"""The least singular value, relative to the largest, that a Gram matrix in float64 can show."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One site: `W` and `Δ = W' − W`, float64 on the CPU."""

    W: Tensor
    Δ: Tensor


def compared(site: Site, before: Tensor, after: Tensor) -> Matrix:
    if before.shape != after.shape:
        raise EngineError(
            f"certificate: {site.tensor} is {list(after.shape)} in the edited model, {list(before.shape)} in the base"
        )
    W, new = exact(before), exact(after)
    for name, value in (("base", W), ("edited model", new)):
        finite(f"certificate: {site.tensor} of the {name}", value, "nothing can be said of its edit")
    return Matrix(W, new - W)


def change_of(site: Site, matrix: Matrix, after: Tensor, same: bool) -> LayerChange:
    shape = (matrix.W.shape[0], matrix.W.shape[1])
    if same:
        return LayerChange(tensor=site.tensor, shape=shape, reads=site.reads, change=0.0, rank=0, condition=1.0)
    new = matrix.W + matrix.Δ
    σ = _singular_values(matrix.Δ)
    # What rounding to the stored precision adds to a change of low rank is a random matrix: its norm, from above.
    rounding = _precision(after) / 2 * float(new.square().mean().sqrt()) * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
    return LayerChange(
        tensor=site.tensor,
        shape=shape,
        reads=site.reads,
        change=ratio(matrix.Δ, matrix.W),
        rank=int((max(RANK * float(σ[0]), rounding) < σ).sum()),
        condition=_condition(new) / _condition(matrix.W),
    )


def ratio(part: Tensor, whole: Tensor) -> float:
    size = float(whole.norm())
    return float(part.norm()) / size if size else 0.0


def _precision(weight: Tensor) -> float:
    """The spacing of the numbers that a matrix is made of: a checkpoint of halves may be loaded as float32."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(weight.to(dtype).to(weight.dtype), weight):
            return torch.finfo(dtype).eps
    return torch.finfo(weight.dtype).eps


def _singular_values(matrix: Tensor) -> Tensor:
    """Largest first, from the Gram matrix of the shorter side: true down to `FLOOR` of the largest."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    λ: Tensor = torch.linalg.eigvalsh(gram)
    return λ.flip(0).clamp_min(0).sqrt()


def _condition(matrix: Tensor) -> float:
    σ = _singular_values(matrix)
    return float(σ[0] / σ[-1].clamp_min(FLOOR * float(σ[0]))) if σ[0] > 0 else 1.0
