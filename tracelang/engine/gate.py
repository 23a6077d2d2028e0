"""An adapter scaled by noise level: exact early matching, at the price of not being one static checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.plan.family import Clock
from tracelang.plan.windows import Interval

WIDTH = 0.2
"""Softness of a gate's edges in log-SNR: it opens from 10 % to 90 % over 4.4 widths."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Scale `s(ℓ) = σ((ℓ − low)/width) σ((high − ℓ)/width)` at log-SNR `ℓ` (docs/methods.md §3.3)."""

    low: float
    high: float
    width: float = WIDTH

    def scale(self, times: Tensor, clock: Clock) -> Tensor:
        """The adapter's scale `[n]` at each of the model's times `[n]`."""
        logsnr = torch.tensor([clock.logsnr(float(time)) for time in times], dtype=torch.float64)
        scale = torch.sigmoid((logsnr - self.low) / self.width) * torch.sigmoid((self.high - logsnr) / self.width)
        return scale.float().to(times.device)


def gate_of(interval: Interval) -> Gate:
    return Gate(interval.low, interval.high)
