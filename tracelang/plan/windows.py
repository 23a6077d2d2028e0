"""Windows lowered to log-SNR, the one unit that means the same in every family."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from tracelang.plan.family import Clock
from tracelang.plan.types import Window


class WindowError(ValueError):
    """A window that this model's clock cannot express. One line; `at` is the setting that it stands in, once known."""

    at: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """`low <= log-SNR < high`, noisier end included. Infinite where the window reaches an end of the schedule."""

    low: float
    high: float

    def __contains__(self, logsnr: float) -> bool:
        return self.low <= logsnr < self.high


def in_logsnr(window: Window, clock: Clock) -> Interval:
    """The window as log-SNR (natural logarithm of α²/σ²).

    `sigma` is the family's own where its time is σ, else the diffusion one, √(1−ᾱ)/√ᾱ. A window that reaches pure
    noise or the finished image is open there, so neighbouring windows partition every sampler's steps.
    Raises `WindowError` for training timesteps on a clock without them, and for a window without length there.
    """
    low, high = window.low, window.high
    match window.unit:
        case "logsnr":
            interval = Interval(low, high)
        case "progress":
            interval = Interval(
                clock.logsnr(clock.time(low)) if low > 0 else -math.inf,
                clock.logsnr(clock.time(high)) if high < 1 else math.inf,
            )
        case "t":
            if clock.unit != "t":
                raise WindowError(f"the window t {low:g}..{high:g} needs training timesteps; this model's time is σ")
            interval = Interval(clock.logsnr(high), clock.logsnr(low) if low > 0 else math.inf)
        case "sigma":
            interval = Interval(_logsnr_of_sigma(high, clock), _logsnr_of_sigma(low, clock))
    if not interval.low < interval.high:
        raise WindowError(f"the window {window.unit} {low:g}..{high:g} is empty on this model's clock")
    return interval


def progress_at(logsnr: float, clock: Clock) -> float:
    """How far along the clock's own schedule a log-SNR is reached: 0..1, to a hundredth of a percent."""
    return bisect_left(range(10_000), logsnr, key=lambda i: clock.logsnr(clock.time(i / 10_000))) / 10_000


def _logsnr_of_sigma(sigma: float, clock: Clock) -> float:
    if sigma <= 0:
        return math.inf
    if clock.unit == "sigma":
        return -math.inf if sigma >= 1 else clock.logsnr(sigma)
    return -2 * math.log(sigma)
