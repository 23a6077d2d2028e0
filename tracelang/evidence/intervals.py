"""95 % intervals of rates whose pictures are not all independent, and of differences of rates on the same targets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.schema import Rate
from tracelang.evidence.verdicts import rate

Z = float(norm.ppf(0.975))
DRAWS = 2000
Floats = NDArray[np.float64]


def wilson(share: float, n: float, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval of a share of `n`, which need not be whole; of nothing, everything is possible."""
    if n <= 0:
        return 0.0, 1.0
    middle, room = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - room) / (1 + z * z / n)), min(1.0, (middle + room) / (1 + z * z / n))


def clustered(hits: Sequence[bool], groups: Sequence[Hashable]) -> Rate:
    """The rate of hits that come in groups, pictures of one prompt say, with Wilson's interval of as many independent
    ones as they are worth: n over the design effect of Rao and Scott (Biometrics 48, 1992).

    The effect is that of the groups and two more, one all hits and one none (as Agresti and Coull, 1998, add two of
    each), so that no hits at all do not read as groups that are all alike by chance; and never below 1. With one
    picture a group it is the plain Wilson interval.
    """
    sizes: dict[Hashable, int] = {}
    found: dict[Hashable, float] = {}
    for hit, group in zip(hits, groups, strict=True):
        sizes[group] = sizes.get(group, 0) + 1
        found[group] = found.get(group, 0) + hit
    n, m = len(hits), len(sizes)
    if m == n:  # of nothing, too
        return rate(sum(hits), n)
    effect = design_effect(list(found.values()), list(sizes.values()))
    low, high = wilson(sum(hits) / n, n / effect)
    return Rate(hits=sum(hits), n=n, low=low, high=high, prompts=m)


def design_effect(hits: Sequence[float], sizes: Sequence[float]) -> float:
    """How many pictures of such groups one independent picture is worth, at least 1; see `clustered`."""
    usual = sum(sizes) / len(sizes)
    x, n = np.array([*hits, usual, 0.0]), np.array([*sizes, usual, usual])
    share, m = x.sum() / n.sum(), len(n)
    spread = m / (m - 1) * ((x - n * share) ** 2).sum() / n.sum() ** 2
    return max(1.0, float(spread / (share * (1 - share) / n.sum())))


def newcombe(one: Sequence[bool], other: Sequence[bool], z: float = Z, effect: float = 1.0) -> tuple[float, float]:
    """Of the difference of two shares on the same targets: Newcombe's paired score interval (Statistics in Medicine 17,
    1998, 2635, method 10). `effect` is the design effect of targets that come in groups.

    Raises ValueError where the two do not pair up.
    """
    pairs = list(zip(one, other, strict=True))
    n = len(pairs)
    if not n:
        return -1.0, 1.0
    a, b = sum(x and y for x, y in pairs), sum(x and not y for x, y in pairs)
    c = sum(y and not x for x, y in pairs)
    d = n - a - b - c
    first, second = (a + b) / n, (a + c) / n
    (l1, u1), (l2, u2) = (wilson(share, n / effect, z) for share in (first, second))
    sides = (a + b) * (c + d) * (a + c) * (b + d)
    product: float = a * d - b * c
    product = max(product - n / 2, 0) if product > 0 else product
    like = product / sqrt(sides) if sides else 0.0
    down, up = first - l1, u2 - second
    low = first - second - sqrt(max(0.0, down**2 - 2 * like * down * up + up**2))
    down, up = u1 - first, second - l2
    high = first - second + sqrt(max(0.0, down**2 - 2 * like * down * up + up**2))
    return max(-1.0, low), min(1.0, high)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of shares, its 95 % interval, and how likely one as large is where there is none (one-sided)."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class Targets:
    """What a probe showed of the same targets `[n]` in each model, of those that never knew by model; `groups [n]` are
    the prompts that targets share.
    """

    groups: Sequence[Hashable]
    base: Sequence[bool]
    edited: Sequence[bool]
    never: Mapping[str, Sequence[bool]]

    @property
    def effect(self) -> float:
        """The design effect of the groups, the largest of the models'."""
        effects = [1.0]
        for shown in (self.base, self.edited, *self.never.values()):
            sizes: dict[Hashable, list[bool]] = {}
            for hit, group in zip(shown, self.groups, strict=True):
                sizes.setdefault(group, []).append(hit)
            if len(sizes) < len(self.groups):
                effects.append(design_effect([sum(some) for some in sizes.values()], [*map(len, sizes.values())]))
        return max(effects)

    def above(self, which: Sequence[bool]) -> Difference:
        """What `which` of the models, the edited one or the base, shows more than those that never knew, on average.

        Of one such model: Newcombe's interval. Of several: the two-level bootstrap, over groups of targets and over
        models, drawn `DRAWS` times; and never narrower than the score interval of two shares of as many targets, for
        where all targets agree a bootstrap has no width, nor than what another such model may show beyond their mean
        (Student's t): a few models resampled hide how far they lie apart.
        """
        value = float(np.mean(which) - np.mean([np.mean(shown) for shown in self.never.values()]))
        if len(self.never) == 1:
            (only,) = self.never.values()
            effect = self.effect
            low, high = newcombe(which, only, effect=effect)
            return Difference(value, low, high, _tail(lambda z: newcombe(which, only, z, effect)[0]))
        draws = self._draws(which)
        shares = float(np.mean(which)), float(np.mean([np.mean(shown) for shown in self.never.values()]))
        n = len(self.groups) / self.effect
        low, high = _score(*shares, n, Z)
        ends = np.percentile(draws, (2.5, 97.5))
        spread = float(draws.std())
        drawn = float(norm.sf(value / spread)) if spread else float(value <= 0)
        p = max(drawn, _tail(lambda z: _score(*shares, n, z)[0]))
        k = len(self.never)
        if apart := self.apart * sqrt(1 + 1 / k):
            reach = float(student.ppf(0.975, k - 1)) * apart
            low, high, p = min(low, value - reach), max(high, value + reach), max(p, student.sf(value / apart, k - 1))
        return Difference(value, max(-1.0, min(low, float(ends[0]))), min(1.0, max(high, float(ends[1]))), float(p))

    @property
    def apart(self) -> float:
        """The standard deviation of models that never knew it, several of them, beyond what targets alone bring: of the
        two-way analysis of variance without replication, `√((MS_models − MS_rest) / n)`.
        """
        shown = np.array(list(self.never.values()), dtype=float)
        k, n = shown.shape
        if n < 2:
            return 0.0
        means = shown.mean(1)
        rest = shown - means[:, None] - shown.mean(0) + shown.mean()
        within = float(np.square(rest).sum()) / ((k - 1) * (n - 1)) * self.effect
        return sqrt(max(0.0, float(means.var(ddof=1)) - within / n))

    def normalised(self) -> tuple[float, float, float]:
        """`(p_E − p̄_N) / (p_B − p̄_N)` with its bootstrap interval; only where the denominator is well above 0."""
        whole = self.above(self.base).value
        draws = self._draws(self.edited) / np.maximum(self._draws(self.base), 1e-6)
        low, high = np.percentile(draws, (2.5, 97.5))
        return self.above(self.edited).value / whole, float(low), float(high)

    def _draws(self, which: Sequence[bool]) -> Floats:
        """The difference in each draw: groups with replacement, all targets of each, and models with replacement."""
        names = list(dict.fromkeys(self.groups))
        own: list[list[int]] = [[] for _ in names]
        index = {name: i for i, name in enumerate(names)}
        for i, group in enumerate(self.groups):
            own[index[group]].append(i)
        rng = np.random.default_rng(seed_of("two-level bootstrap", "", len(self.groups), len(self.never)))
        k, m = len(self.never), len(names)
        sums = np.array(
            [[sum(shown[i] for i in some) for some in own] for shown in (which, *self.never.values())], dtype=float
        )
        picked = rng.integers(m, size=(DRAWS, m))
        totals = np.array([len(some) for some in own])[picked].sum(1)
        rates = sums[:, picked].sum(2) / totals
        models = rng.integers(k, size=(DRAWS, k))
        found: Floats = rates[0] - rates[1:][models.T, np.arange(DRAWS)].mean(0)
        return found


def _score(one: float, other: float, n: float, z: float) -> tuple[float, float]:
    """Newcombe's interval of the difference of two shares of `n` each (1998, 873, method 10)."""
    (l1, u1), (l2, u2) = wilson(one, n, z), wilson(other, n, z)
    difference = one - other
    return difference - sqrt((one - l1) ** 2 + (u2 - other) ** 2), difference + sqrt(
        (u1 - one) ** 2 + (other - l2) ** 2
    )


def _tail(lower: Callable[[float], float]) -> float:
    """The one-sided level at which a lower end, as a function of z, is 0."""
    low, high = 0.0, 40.0
    if lower(low) <= 0:
        return 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if lower(middle) > 0 else (low, middle)
    return float(norm.sf(low))


def holm(levels: Sequence[float], alpha: float = 0.025) -> list[bool]:
    """Which of several one-sided levels hold together (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    order = sorted(range(len(levels)), key=lambda i: levels[i])
    held = [False] * len(levels)
    for rank, i in enumerate(order):
        if levels[i] > alpha / (len(levels) - rank):
            break
        held[i] = True
    return held
