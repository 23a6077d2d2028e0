"""Does training damage an edited model more than it damages models that never knew what was erased? (docs/methods.md
§5.9)

A small model that learns from five pictures forgets other things, whatever it is; so what an edited model still draws
right is held against what they do, of the same pictures in the same training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracelang.evidence.half_life import DRAWS, Curves, of_trainings, of_twins


@dataclass(frozen=True, slots=True)
class Kept:
    """Of `n` pictures of the edited model the share that is right, mean over the looks, and that of the models that
    never knew. `value`: the one over the other, None where those draw none right; with its 95 % interval, whose upper
    end is None where nothing bounds it.
    """

    n: int
    edited: float
    never: float
    value: float | None
    low: float
    high: float | None


def kept(edited: Curves, never: Sequence[Curves], known: NDArray[np.bool_], looks: int) -> Kept:
    """What is right at the first so many looks. Curves are `[seeds, grid, pictures]`, of which `known` `[seeds,
    pictures]` count: those that every model draws right before it is trained. Raises ValueError where none does.

    The interval is that of a half-life's ratio: a bootstrap over seeds, pictures and twins, the same of all models, but
    never narrower than what twins, or of one twin trainings, lie apart by themselves.
    """
    if not known.any() or not never:
        raise ValueError("nothing is known to all of the models")
    E = edited[:, :looks].mean(1)
    N = np.stack([one[:, :looks].mean(1) for one in never])

    def shares(seeds: NDArray[np.int_], pictures: NDArray[np.int_], twins: NDArray[np.int_]) -> tuple[float, float]:
        rows = np.ix_(seeds, pictures)
        counts = known[rows]
        n = int(counts.sum())
        if not n:
            return 0.0, 0.0
        return float(E[rows][counts].sum()) / n, float(N[np.ix_(twins, seeds, pictures)].mean(0)[counts].sum()) / n

    sizes = (*E.shape, len(N))
    every = [np.arange(n) for n in sizes]
    mine, theirs = shares(*every)
    random, lows, highs = np.random.default_rng(0), [], []
    for _ in range(DRAWS):
        e, n = shares(*(random.integers(size, size=size) for size in sizes))
        lows.append(e / n if n else 0.0)
        highs.append(e / n if n else math.inf)
    low = float(np.quantile(lows, 0.025, method="lower"))
    high = float(np.quantile(highs, 0.975, method="higher"))
    value = mine / theirs if theirs else None
    if value:
        seeds, pictures, twins = every
        if len(twins) > 1:
            reach, lone = of_twins, [_log(shares(seeds, pictures, twins[[i]])[1]) for i in twins]
        else:
            pairs = [shares(seeds[[i]], pictures, twins) for i in seeds if known[i].any()]
            reach, lone = of_trainings, [_log(e) - _log(n) if n else -math.inf for e, n in pairs]
        apart = math.inf if -math.inf in lone else reach(lone)
        low, high = min(low, value * math.exp(-apart)), max(high, value * math.exp(apart))
    return Kept(int(known.sum()), mine, theirs, value, low, high if math.isfinite(high) else None)


def _log(share: float) -> float:
    return math.log(share) if share else -math.inf
