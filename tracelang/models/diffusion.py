"""The noise schedule of a latent diffusion model and the times that DDIM visits, from its config. Torch-free."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from operator import mul
from pathlib import Path
from typing import Any

from tracelang.models.parametrisation import NOISE, Level, Parametrisation, V
from tracelang.plan.family import ModelError

SMALLEST = 2.0**-24
"""ᾱ is kept above it, so that a schedule with zero terminal SNR has a finite log-SNR; it is the ᾱ that Euler takes."""
OTHERS = {
    "EDM": "its noise is scaled as EDM does, which is not supported",
    "FlowMatch": "its model follows a flow, which this family does not",
}
"""How classes of schedulers begin whose settings look like a diffusion's and mean something else."""

PREDICTIONS = {"epsilon": NOISE, "v_prediction": V}
"""By the config's `prediction_type`: noise, v."""
UNPREDICTED = {
    "sample": "is of the clean image, as of distillates of one step; take those of several steps, which predict noise",
    "flow_prediction": "is of a flow's velocity, which this family does not predict",
}


@dataclass(frozen=True, slots=True)
class DiffusionClock:
    """A `Clock` over training timesteps `t`; larger is noisier.

    `alphas` is ᾱ of every timestep, `final` the ᾱ that the last sampler step ends at. Between two timesteps log-SNR
    is interpolated linearly in t. `euler`: each sampler step leads to the next time that is visited, and the last one
    to the clean end.
    """

    alphas: tuple[float, ...]
    final: float
    spacing: str
    offset: int
    parametrisation: Parametrisation
    euler: bool = False
    unit: str = "t"
    _falling: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_falling", tuple(math.log(a) - math.log1p(-a) for a in self.alphas))

    def time(self, progress: float) -> float:
        """t of a progress in 0..1: 0 is the noisiest timestep, 1 is timestep 0."""
        return (1 - progress) * (len(self.alphas) - 1)

    def logsnr(self, time: float) -> float:
        """ln(ᾱ / (1 − ᾱ)) at t, clamped to the schedule's ends."""
        time = min(max(time, 0.0), len(self.alphas) - 1.0)
        low = min(int(time), len(self.alphas) - 2)
        part = time - low
        return self._falling[low] * (1 - part) + self._falling[low + 1] * part

    def time_at(self, logsnr: float) -> float:
        """t at which `logsnr` is reached, clamped to the schedule's ends."""
        high = bisect_left(self._falling, -logsnr, key=lambda value: -value)
        if high == 0 or high == len(self._falling):
            return float(min(high, len(self._falling) - 1))
        before, after = self._falling[high - 1], self._falling[high]
        return high - 1 + (before - logsnr) / (before - after)

    def times(self, steps: int) -> tuple[float, ...]:
        """The timesteps that diffusers' DDIMScheduler visits, noisiest first. Raises ModelError above the schedule."""
        total = len(self.alphas)
        if not 1 <= steps <= total:
            raise ModelError(f"{steps} sampler steps: this model's schedule has 1 to {total}")
        if self.spacing == "linspace":
            step = (total - 1) / max(steps - 1, 1)
            rising = [round(i * step) for i in range(steps)]
        elif self.spacing == "trailing":
            step = (total - total / steps) - total  # rounded as numpy's arange does: halves decide the timestep
            rising = [round(total + i * step) - 1 for i in reversed(range(steps))]
        else:
            rising = [i * (total // steps) + self.offset for i in range(steps)]
        return tuple(float(min(t, total - 1)) for t in reversed(rising))

    def velocity(self, time: float) -> float:
        return self.parametrisation.velocity(self.logsnr(time))

    def level(self, times: Any) -> Level:
        """√ᾱ and √(1 − ᾱ), float32 tensors `[n]` on the CPU, at the times of a tensor `[n]`."""
        single = times.float().cpu()
        alpha = single.new_tensor([self.logsnr(float(time)) for time in times]).sigmoid()
        return alpha.sqrt(), (1 - alpha).sqrt()

    def span(self, index: int, steps: int) -> tuple[Level, Level]:
        """The levels at the sampler's `index`-th time and where its step leads to: as DDIM spaces them, or Euler."""
        visited = [*map(int, self.times(steps)), -1]
        now = visited[index]
        after = visited[index + 1] if self.euler else now - len(self.alphas) // steps
        alphas = self.alphas[now], self.alphas[after] if after >= 0 else self.final
        before, later = ((alpha**0.5, (1 - alpha) ** 0.5) for alpha in alphas)
        return before, later


def clock(config: dict[str, Any], source: Path) -> DiffusionClock:
    """The clock of a scheduler's config, read as EulerDiscreteScheduler reads it where that or another Euler is its
    class, else as DDIMScheduler. Raises ModelError naming `source`.
    """
    kind = str(config.get("_class_name", ""))
    for begins, reason in OTHERS.items():
        if kind.startswith(begins):
            raise ModelError(f"{source}: is a {kind}: {reason}")
    euler = kind.startswith("Euler")
    spacing = config.get("timestep_spacing", "leading")
    prediction = config.get("prediction_type", "epsilon")
    if spacing not in ("leading", "trailing", "linspace"):
        raise ModelError(f"{source}: timestep_spacing {spacing!r} is unknown; it is leading, trailing or linspace")
    if prediction not in PREDICTIONS:
        why = UNPREDICTED.get(prediction, "is unknown") if isinstance(prediction, str) else "is unknown"
        raise ModelError(f"{source}: prediction_type {prediction!r} {why}; supported are epsilon and v_prediction")
    try:
        alphas = _alphas(config)
        offset = int(config.get("steps_offset", 0))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ModelError(f"{source}: describes no noise schedule of a diffusion model ({error})") from None
    final = 1.0 if euler or config.get("set_alpha_to_one", True) else alphas[0]
    return DiffusionClock(alphas, final, spacing, offset, PREDICTIONS[prediction], euler)


def _alphas(config: dict[str, Any]) -> tuple[float, ...]:
    """ᾱ of every timestep; falling, inside (0, 1)."""
    betas = _betas(config)
    alphas = list(accumulate((1 - beta for beta in betas), mul))
    if config.get("rescale_betas_zero_snr", False):  # arXiv 2305.08891, algorithm 1
        roots = [math.sqrt(alpha) for alpha in alphas]
        scale = roots[0] / (roots[0] - roots[-1])
        alphas = [((root - roots[-1]) * scale) ** 2 for root in roots]
    alphas = [max(alpha, SMALLEST) for alpha in alphas]
    if len(alphas) < 2 or not all(1 > a > b for a, b in pairwise(alphas)):
        raise ValueError("its noise does not grow with the timestep")
    return tuple(alphas)


def _betas(config: dict[str, Any]) -> Sequence[float]:
    count = int(config.get("num_train_timesteps", 1000))
    if not 2 <= count <= 100_000:
        raise ValueError(f"{count} training timesteps")
    low, high = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    schedule = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        return [float(beta) for beta in config["trained_betas"]]
    if schedule == "linear":
        return _line(low, high, count)
    if schedule == "scaled_linear":
        return [root * root for root in _line(math.sqrt(low), math.sqrt(high), count)]
    if schedule == "squaredcos_cap_v2":
        bars = [math.cos((i / count + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(count + 1)]
        return [min(1 - after / before, 0.999) for before, after in pairwise(bars)]
    raise ValueError(f"unknown beta_schedule {schedule!r}")


def _line(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * i / (count - 1) for i in range(count)]
