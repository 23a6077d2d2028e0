"""How many training steps bring something back, and how that compares between models (docs/methods.md §5.9).

Curves are means over whatever was looked at, `[seeds, grid, things]`: pictures that show a concept or not, or the loss
on held-out figures. Steps are counted from 1, so that a model that never lost it has a half-life of 1 on a logarithmic
scale, and not of nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Curves = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class HalfLife:
    """The `steps` after which a curve first reached its level; `censored`: it had not when training ended there."""

    steps: float
    censored: bool = False

    @property
    def log(self) -> float:
        return math.log1p(self.steps)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two half-lives' ratio and its 95 % interval; an end that nothing bounds is None. None of it where both are
    censored; where one is, `value` is the nearest to 1 that the ratio can be, and a bound.
    """

    edited: HalfLife
    never: HalfLife
    value: float | None
    low: float | None
    high: float | None

    @property
    def bound(self) -> Literal["at most", "at least"] | None:
        """Which bound of the ratio `value` is; None where it is the ratio, or there is none."""
        if self.edited.censored == self.never.censored:
            return None
        return "at least" if self.edited.censored else "at most"


def half_life(curve: Sequence[float] | Curves, grid: Sequence[int], level: float) -> HalfLife:
    """The first step at which a curve reaches a level, between two grid points as if it rose by the logarithm of the
    step.
    """
    for i, value in enumerate(curve):
        if value >= level:
            if i == 0:
                return HalfLife(float(grid[0]))
            share = (level - curve[i - 1]) / (value - curve[i - 1])
            before, after = math.log1p(grid[i - 1]), math.log1p(grid[i])
            return HalfLife(math.expm1(before + share * (after - before)))
    return HalfLife(float(grid[-1]), censored=True)


def ratio(
    edited: Curves,
    never: Sequence[Curves],
    base: Curves,
    grid: Sequence[int],
    level: Callable[[Curves, Curves], float],
    draws: int = DRAWS,
) -> Ratio:
    """The half-life of the edited model over that of models that never knew, `(1 + h_E) / (1 + h_N)`.

    All are `[seeds, grid, things]`, of the same seeds and things; `level` says of a mean curve and of the base's what
    is to be reached. The interval is a bootstrap over seeds, things and twins, paired: a draw takes the same seeds and
    things of every model. A half-life that is censored is at least the last step, which bounds the ratio on one side:
    from above where those of the models that never knew are, whatever single draws say.
    """
    if not never:
        raise ValueError("a ratio needs a model that never knew")
    twins = np.stack(never)

    def found(seeds: NDArray[np.int_], things: NDArray[np.int_], which: NDArray[np.int_]) -> tuple[HalfLife, HalfLife]:
        def mean(curves: Curves) -> Curves:
            taken = curves[..., seeds, :, :][..., things]
            found: Curves = taken.mean(axis=(*range(curves.ndim - 2), curves.ndim - 1))
            return found

        of_base, of_edited, of_never = mean(base), mean(edited), mean(twins[which])
        return (
            half_life(of_edited, grid, level(of_edited, of_base)),
            half_life(of_never, grid, level(of_never, of_base)),
        )

    every = [np.arange(n) for n in (edited.shape[0], edited.shape[2], len(twins))]
    E, N = found(*every)
    if E.censored and N.censored:
        return Ratio(E, N, None, None, None)
    random, lows, highs = np.random.default_rng(0), [], []
    for _ in range(draws):
        e, n = found(*(random.integers(len(one), size=len(one)) for one in every))
        lows.append(-math.inf if n.censored else e.log - n.log)
        highs.append(math.inf if e.censored else e.log - n.log)
    low = float(np.quantile(lows, 0.025, method="lower"))
    high = float(np.quantile(highs, 0.975, method="higher"))
    return Ratio(
        E,
        N,
        math.exp(E.log - N.log),
        None if N.censored else _end(low),
        None if E.censored else _end(high),
    )


def _end(log: float) -> float | None:
    return math.exp(log) if math.isfinite(log) else None


def half_of_start(curve: Curves, base: Curves) -> float:
    """Half of what the base shows before any training."""
    return float(base[0]) / 2


def half_of_gain(curve: Curves, base: Curves) -> float:
    """Half of what the curve gains in the whole training; with less than half of the base's gain it never learns."""
    own, theirs = float(curve[-1]), float(base[-1])
    return own / 2 if own > 0 and own >= theirs / 2 else math.inf


def gains(losses: Curves) -> Curves:
    """How far each loss `[seeds, grid, things]` has fallen at each step."""
    return losses[:, :1] - losses
