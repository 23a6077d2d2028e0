"""Muon: momentum made orthogonal, for the matrices inside a transformer (Jordan et al., 2024; scaled as in arXiv
2502.16982, so that AdamW's learning rates hold).

PyTorch's own multiplies in bfloat16, one matrix at a time, which is slow on processors that only emulate it; here
matrices of one shape are made orthogonal together, in float32.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonal(g: Tensor, rounds: int = 5) -> Tensor:
    """Matrices `[k, m, n]` with their singular values brought near 1 by Newton and Schulz's iteration."""
    a, b, c = QUINTIC
    wide = g.shape[1] <= g.shape[2]
    x = g if wide else g.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(rounds):
        s = x @ x.mT
        x = a * x + torch.baddbmm(s, s, s, beta=b, alpha=c) @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum whose steps are orthogonal matrices. Every parameter is a matrix `[m, n]`."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, alike in shapes.items():
                grads = [p.grad for p in alike]
                held = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in alike]
                torch._foreach_lerp_(held, grads, 1 - momentum)
                ahead = torch.stack(torch._foreach_lerp(grads, held, momentum))
                torch._foreach_mul_(alike, 1 - lr * group["weight_decay"])
                torch._foreach_add_(alike, list(orthogonal(ahead)), alpha=-0.2 * lr * max(shape) ** 0.5)
