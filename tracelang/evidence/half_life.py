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
from scipy.stats import t as student

Curves = NDArray[np.float64]
Indices = NDArray[np.int_]
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


def between(
    curves: Curves, base: Curves, grid: Sequence[int], level: Callable[[Curves, Curves], float], draws: int = DRAWS
) -> tuple[float, float | None]:
    """The 95 % interval of the half-life of one model, `[seeds, grid, things]` as its base: a bootstrap over the things
    looked at after these trainings. How far another training would lie from them it does not say (`ratio` does). No
    upper end where the training may end before it.
    """
    random, n = np.random.default_rng(0), curves.shape[2]
    found = []
    for _ in range(draws):
        things = random.integers(n, size=n)
        own, theirs = (one[..., things].mean(axis=(0, 2)) for one in (curves, base))
        one = half_life(own, grid, level(own, theirs))
        found.append(math.inf if one.censored else one.steps)
    low = float(np.quantile(found, 0.025, method="lower"))
    high = float(np.quantile(found, 0.975, method="higher"))
    return min(low, float(grid[-1])), high if math.isfinite(high) else None


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
    is to be reached. The interval is a bootstrap over seeds, things and twins, paired, but never narrower than what
    the models lie apart by themselves (`_reach`), which a few twins resampled hide. A half-life that is censored is at
    least the last step, which bounds the ratio on one side: from above where those of the models that never knew are,
    whatever single draws say; and where one of them alone is, there is no lower end, for nobody knows how far it lies
    from the others.
    """
    if not never:
        raise ValueError("a ratio needs a model that never knew")
    asked = _Asked(edited, np.stack(never), base, grid, level)
    E, N = asked.found(*asked.every)
    if E.censored and N.censored:
        return Ratio(E, N, None, None, None)
    log = E.log - N.log
    low, high = _resampled(asked, draws)
    down, up = _reach(asked)
    low, high = min(low, log - down), max(high, log + up)
    return Ratio(E, N, math.exp(log), None if N.censored else _end(low), None if E.censored else _end(high))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The curves of a ratio, the twins' stacked `[twins, seeds, grid, things]`."""

    edited: Curves
    twins: Curves
    base: Curves
    grid: Sequence[int]
    level: Callable[[Curves, Curves], float]

    @property
    def every(self) -> tuple[Indices, Indices, Indices]:
        """All seeds, things and twins."""
        sizes = self.edited.shape[0], self.edited.shape[2], len(self.twins)
        seeds, things, twins = (np.arange(size) for size in sizes)
        return seeds, things, twins

    def found(self, seeds: Indices, things: Indices, twins: Indices) -> tuple[HalfLife, HalfLife]:
        """The half-lives of the edited model and of the twins' mean curve, of some seeds, things and twins."""

        def mean(curves: Curves) -> Curves:
            taken = curves[..., seeds, :, :][..., things]
            found: Curves = taken.mean(axis=(*range(curves.ndim - 2), curves.ndim - 1))
            return found

        of_base, *curves = mean(self.base), mean(self.edited), mean(self.twins[twins])
        mine, theirs = (half_life(curve, self.grid, self.level(curve, of_base)) for curve in curves)
        return mine, theirs


def _resampled(asked: _Asked, draws: int) -> tuple[float, float]:
    """The bootstrap's interval of the logarithm: a draw takes the same seeds and things of every model."""
    random, lows, highs = np.random.default_rng(0), [], []
    for _ in range(draws):
        e, n = asked.found(*(random.integers(len(one), size=len(one)) for one in asked.every))
        lows.append(-math.inf if n.censored else e.log - n.log)
        highs.append(math.inf if e.censored else e.log - n.log)
    return float(np.quantile(lows, 0.025, method="lower")), float(np.quantile(highs, 0.975, method="higher"))


def _reach(asked: _Asked) -> tuple[float, float]:
    """How far the logarithm may lie below and above what was found, by Student's t. Of several twins: so far may one
    more of them lie from their mean, which holds what twins and their trainings differ by. Of one, whose like nobody
    saw: by trainings of one seed each.
    """
    seeds, things, twins = asked.every
    if len(twins) > 1:
        each = [asked.found(seeds, things, twins[[i]])[1] for i in twins]
        reach = of_twins([one.log for one in each])
        return math.inf if any(one.censored for one in each) else reach, reach
    pairs = [asked.found(seeds[[i]], things, twins) for i in seeds]
    reach = of_trainings([mine.log - theirs.log for mine, theirs in pairs])
    mine, theirs = (any(one[side].censored for one in pairs) for side in (0, 1))
    return math.inf if theirs else reach, math.inf if mine else reach


def of_twins(logs: Sequence[float]) -> float:
    """How far one more twin may lie from the mean of these, at 95 %: `t(K − 1) s √(1 + 1/K)`."""
    k = len(logs)
    return _student(k) * float(np.std(logs, ddof=1)) * math.sqrt(1 + 1 / k)


def of_trainings(logs: Sequence[float]) -> float:
    """How far the mean of these may lie from that of all trainings, at 95 %: `t(S − 1) s / √S`; of one, anywhere."""
    n = len(logs)
    return _student(n) * float(np.std(logs, ddof=1)) / math.sqrt(n) if n > 1 else math.inf


def _student(n: int) -> float:
    return float(student.ppf(0.975, n - 1))


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
