"""Rectified flow's time: σ, shifted by resolution, and the times that FluxPipeline's sampler visits. Torch-free.

`x_σ = (1 − σ) x₀ + σ n`, so log-SNR is `2 ln((1 − σ)/σ)`. The schedule runs through `u` from 1 to 0 evenly and
visits `σ = s/(s + 1/u − 1)`: `s = e^μ`, with μ linear in the number of image tokens, where the shift is dynamic, else
the config's own `shift`.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracelang.models.parametrisation import FLOW, Level, Parametrisation
from tracelang.plan.family import ModelError

EDGE = 1e-6
"""log-SNR is that of a σ at least so far from 0 and 1, so that pure noise and the clean image have a finite one."""
LONGEST = 1000
"""Sampler steps at most: the schedule that the model was trained on has no more."""
FOREIGN = (
    "shift_terminal",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "invert_sigmas",
    "stochastic_sampling",
    "use_flow_sigmas",
)
"""Settings under which the scheduler visits other times, or steps otherwise, than FLUX.1's."""


@dataclass(frozen=True, slots=True)
class FlowClock:
    """A `Clock` over σ in 0..1; larger is noisier. `shift` is the schedule's s, `dynamic` if resolution set it."""

    shift: float
    dynamic: bool
    unit: str = "sigma"
    parametrisation: Parametrisation = FLOW

    def time(self, progress: float) -> float:
        """σ of a progress in 0..1 along the shifted schedule: 0 is pure noise, 1 the clean image."""
        u = 1 - min(max(progress, 0.0), 1.0)
        part = self.shift * u
        return part / (part + (1 - u))

    def logsnr(self, time: float) -> float:
        """`2 ln((1 − σ)/σ)`, finite at both ends."""
        sigma = min(max(time, EDGE), 1 - EDGE)
        return 2 * (math.log1p(-sigma) - math.log(sigma))

    def time_at(self, logsnr: float) -> float:
        """σ at which `logsnr` is reached, clamped to 0..1."""
        if logsnr <= self.logsnr(1.0):
            return 1.0
        if logsnr >= self.logsnr(0.0):
            return 0.0
        return 1 / (1 + math.exp(logsnr / 2))

    def times(self, steps: int) -> tuple[float, ...]:
        """The σ that FlowMatchEulerDiscreteScheduler visits inside FluxPipeline, bit for bit: it rounds to float32.

        Raises ModelError for a number of steps outside 1..1000.
        """
        if not 1 <= steps <= LONGEST:
            raise ModelError(f"{steps} sampler steps: this model's schedule has 1 to {LONGEST}")
        step = (1 / steps - 1) / max(steps - 1, 1)
        even = [1 + i * step for i in range(steps - 1)] + [1 / steps]
        return tuple(map(self._shifted if self.dynamic else self._scaled, map(_single, even)))

    def velocity(self, time: float) -> float:
        return self.parametrisation.velocity(self.logsnr(time))

    def level(self, times: Any) -> Level:
        """1 − σ and σ, float32 tensors `[n]`, at the times of a tensor `[n]`."""
        sigma = times.float()
        return 1 - sigma, sigma

    def span(self, index: int, steps: int) -> tuple[Level, Level]:
        """The levels at the sampler's `index`-th time and at the next, or the clean end."""
        times = (*self.times(steps), 0.0)
        before, later = ((1 - sigma, sigma) for sigma in times[index : index + 2])
        return before, later

    def _shifted(self, u: float) -> float:
        """`s/(s + (1/u − 1))`, every operation rounded as numpy rounds it."""
        s = _single(self.shift)
        return _single(s / _single(s + _single(_single(1 / u) - 1)))

    def _scaled(self, u: float) -> float:
        """`s u/(1 + (s − 1) u)`, likewise."""
        part = _single(1 + _single(_single(self.shift - 1) * u))
        return _single(_single(_single(self.shift) * u) / part)


def clock(config: dict[str, Any], source: Path, tokens: int, title: str = "a rectified flow") -> FlowClock:
    """The clock of a scheduler's config for pictures of so many image tokens.

    Raises ModelError naming `source`, and the family by its `title`.
    """
    for name in FOREIGN:
        if config.get(name):
            raise ModelError(f"{source}: has {name} = {config[name]!r}, which {title}'s sampler does not know")
    try:
        if config.get("num_train_timesteps", 1000) != 1000:
            raise ValueError(f"num_train_timesteps is {config['num_train_timesteps']!r}, and {title} counts 1000")
        dynamic = bool(config.get("use_dynamic_shifting", False))
        shift = _dynamic(config, tokens) if dynamic else float(config.get("shift", 1.0))
        if not (math.isfinite(shift) and 0 < shift < 1e6):
            raise ValueError(f"a shift of {shift!r}")
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ModelError(f"{source}: describes no schedule of a rectified flow ({error})") from None
    return FlowClock(shift, dynamic)


def _dynamic(config: dict[str, Any], tokens: int) -> float:
    """`s` at a resolution: diffusers' `calculate_shift` and `time_shift`, in its order of operations."""
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    least, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (most - least) / (high - low)
    mu = tokens * slope + (least - slope * low)
    kind = config.get("time_shift_type", "exponential")
    if kind not in ("exponential", "linear"):
        raise ValueError(f"unknown time_shift_type {kind!r}")
    return math.exp(mu) if kind == "exponential" else float(mu)


def _single(value: float) -> float:
    """Rounded to float32. Of one operation on two floats of that width this gives what hardware gives."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded
