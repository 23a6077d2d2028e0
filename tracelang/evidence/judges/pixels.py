"""Pictures as the judges' libraries want them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def checked(images: Tensor) -> Tensor:
    """The pictures `[n, 3, H, W]`. Raises ValueError where they have another shape or hold NaN or infinity."""
    if images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(f"pictures are [n, 3, H, W], not {list(images.shape)}")
    if not torch.isfinite(images).all():
        raise ValueError("the pictures hold values that are not finite")
    return images


def arrays(images: Tensor) -> list[Any]:
    """Each picture as an RGB array `[H, W, 3]` of uint8."""
    rounded = (checked(images).detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(rounded.permute(0, 2, 3, 1).contiguous().numpy())
