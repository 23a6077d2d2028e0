"""One rule for matrices that hold NaN or infinity: they are not edited, and the message says which they are."""

from __future__ import annotations

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError


def finite(name: str, matrix: Tensor, remedy: str = "no edit of it is defined; use a base without") -> Tensor:
    """The matrix itself. Raises `EngineError`: how many of its numbers are NaN or infinite, and what to do."""
    if holds_none(matrix):
        return matrix
    nan, infinite = int(matrix.isnan().sum()), int(matrix.isinf().sum())
    found = [f"{count} {kind}" for count, kind in ((nan, "NaN"), (infinite, "infinite")) if count]
    raise EngineError(f"{name} holds NaN or infinity ({' and '.join(found)} of {matrix.numel()} numbers); {remedy}")


def holds_none(matrix: Tensor) -> bool:
    """Has it neither NaN nor infinity? By its ends, of which NaN makes NaN: many times faster than to ask each number,
    most of all in halves.
    """
    return not matrix.numel() or bool(torch.stack(torch.aminmax(matrix.detach())).isfinite().all())


def rounded(
    name: str, matrix: Tensor, dtype: torch.dtype, remedy: str = "use a base in bfloat16 or float32, or a lower degree"
) -> Tensor:
    """An edited matrix, summed in float64, in the dtype that it is stored in.

    Raises `EngineError` where it holds NaN or infinity, or leaves the dtype's range.
    """
    finite(f"the edited {name}", matrix, "it is not finite and cannot be stored; lower the rate or raise the ridge")
    stored = matrix.to(dtype)
    if not holds_none(stored):
        kind = str(dtype).removeprefix("torch.")
        raise EngineError(
            f"{name}: the edited matrix is not finite in {kind}, whose range ends at {torch.finfo(dtype).max:.3g}; "
            f"{remedy}"
        )
    return stored
