"""Numbers in float64, which not every device has."""

from __future__ import annotations

from torch import Tensor


def exact(tensor: Tensor) -> Tensor:
    """The tensor on the CPU in float64, outside of any graph; one that is so already is given back, not copied.

    First there, then wider: an Apple GPU has no float64, and asked for both in one step torch 2.13 raises and 2.14
    gives zeros. Nothing else casts to float64.
    """
    return tensor.detach().cpu().double()
