"""What a UNet's cross-attention makes of the prompt, seen from outside: whatever computes it, fused or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from tracelang.models.protocol import Attended


@contextmanager
def attended(unet: nn.Module, sides: tuple[int, int]) -> Iterator[list[Attended]]:
    """Inside, every forward pass leaves queries and keys of each cross-attention in the list; `sides` are those of the
    latents, and a layer's grid is as they are, but coarser.
    """
    found: list[Attended] = []
    handles = []
    for name, module in unet.named_modules():
        if name.endswith(".attn2"):
            seen: dict[str, Tensor] = {}
            for part in ("to_q", "to_k"):
                handles.append(module.get_submodule(part).register_forward_hook(_kept(seen, part)))
            handles.append(module.register_forward_hook(_told(found, seen, sides)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _kept(seen: dict[str, Tensor], part: str) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen[part] = output

    return keep


def _heads(states: Tensor, heads: int) -> Tensor:
    """`[n, L, heads · w]` → `[n, heads, L, w]`."""
    return states.view(*states.shape[:2], heads, -1).transpose(1, 2)


def _told(found: list[Attended], seen: dict[str, Tensor], sides: tuple[int, int]) -> Any:
    def tell(module: Any, inputs: Any, output: Tensor) -> None:
        q, k = (_heads(seen.pop(part), module.heads) for part in ("to_q", "to_k"))
        coarser = math.sqrt(sides[0] * sides[1] / q.shape[2])
        rows = round(sides[0] / coarser)
        found.append(Attended(q, k, module.scale, rows, q.shape[2] // rows))

    return tell
