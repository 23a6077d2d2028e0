"""What a denoiser is trained to predict on `x = a x₀ + b n`, of the image x₀ and noise n: the noise, v, or a flow's
velocity. Operators alone, so for numbers and tensors alike. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST = 32.0
"""Where a schedule ends in pure noise, predicted noise says nothing of the image, and 1/√ᾱ has no end. Stable
Diffusion 1.x reaches 15.
"""

Level = tuple[Any, Any]
"""Signal `a` and noise `b` at a time. With variances that sum to one, as in diffusion, a = √ᾱ; in a flow a = 1 − σ."""


@dataclass(frozen=True, slots=True)
class Parametrisation:
    """`target(x₀, n, level)` is what a prediction should be, `parts(x, prediction, level)` the x₀ and n that it says,
    `advance(x, prediction, level, next)` one deterministic sampler step, `velocity(log-SNR)` how far the velocity moves
    where the prediction moves by one.
    """

    target: Callable[[Any, Any, Level], Any]
    parts: Callable[[Any, Any, Level], tuple[Any, Any]]
    advance: Callable[[Any, Any, Level, Level], Any]
    velocity: Callable[[float], float]


def _parts_of_noise(x: Any, noise: Any, level: Level) -> tuple[Any, Any]:
    return (x - level[1] * noise) / level[0], noise


def _parts_of_v(x: Any, v: Any, level: Level) -> tuple[Any, Any]:
    return level[0] * x - level[1] * v, level[0] * v + level[1] * x


def _parts_of_velocity(x: Any, velocity: Any, level: Level) -> tuple[Any, Any]:
    return x - level[1] * velocity, x + level[0] * velocity


def _ddim_of_noise(x: Any, noise: Any, now: Level, after: Level) -> Any:
    """DDIM with η = 0 (arXiv 2010.02502, equation 12)."""
    return after[0] * ((x - now[1] * noise) / now[0]) + after[1] * noise


def _ddim_of_v(x: Any, v: Any, now: Level, after: Level) -> Any:
    return after[0] * (now[0] * x - now[1] * v) + after[1] * (now[0] * v + now[1] * x)


def _euler(x: Any, velocity: Any, now: Level, after: Level) -> Any:
    return x + (after[1] - now[1]) * velocity


def _of_noise(logsnr: float) -> float:
    """`v = √ᾱ ε − √(1 − ᾱ) x₀` moves by 1/√ᾱ (arXiv 2202.00512), at most `MOST`."""
    return min(math.sqrt(1 + math.exp(-logsnr)), MOST)


NOISE = Parametrisation(lambda clean, noise, level: noise, _parts_of_noise, _ddim_of_noise, _of_noise)
V = Parametrisation(
    lambda clean, noise, level: level[0] * noise - level[1] * clean, _parts_of_v, _ddim_of_v, lambda logsnr: 1.0
)
"""arXiv 2202.00512."""
FLOW = Parametrisation(lambda clean, noise, level: noise - clean, _parts_of_velocity, _euler, lambda logsnr: 1.0)
"""arXiv 2209.03003."""
