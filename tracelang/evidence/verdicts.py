"""Intervals and exact tests decide: rates with theirs, on which side of a bound the whole of one lies, and whether two
sets of pictures differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Literal

from scipy.stats import binomtest, fisher_exact
from scipy.stats import t as student

from tracelang.evidence.schema import DegreePoint, Measure, Paired, Rate, Spread, Verdict

WORST: dict[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}


def rate(hits: int, n: int) -> Rate:
    """`hits` of `n`, with its 95 % Wilson interval; of nothing, everything is possible."""
    if not n:
        return Rate(hits=0, n=0, low=0.0, high=1.0)
    found = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Rate(hits=hits, n=n, low=float(found.low), high=float(found.high))


def spread(figures: Sequence[float]) -> Spread:
    """Their mean and its interval, as that of independent draws; a figure that is a size is never below 0."""
    mean, n = fmean(figures), len(figures)
    if n < 2:
        return Spread(mean=mean, n=n, low=None, high=None)
    half = float(student.ppf(0.975, n - 1)) * stdev(figures) / sqrt(n)
    return Spread(mean=mean, n=n, low=max(0.0, mean - half), high=mean + half)


def pooled(rates: Iterable[Rate]) -> Rate:
    """Several rates as one."""
    parts = list(rates)
    return rate(sum(part.hits for part in parts), sum(part.n for part in parts))


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of the whole: nothing at all is inconclusive."""
    return max(verdicts, key=lambda one: WORST[one], default="inconclusive")


def decide(low: float, high: float, comparison: Literal["<=", ">="], bound: float) -> Verdict:
    """Which side of the bound the whole interval lies on."""
    if not (isfinite(low) and isfinite(high)):
        return "inconclusive"
    if comparison == "<=":
        return "pass" if high <= bound else "fail" if low > bound else "inconclusive"
    return "pass" if low >= bound else "fail" if high < bound else "inconclusive"


def farthest(measures: Sequence[Measure], comparison: Literal["<=", ">="]) -> Measure:
    """The measure that decides: of the worst verdict, and of those one that has no figure, else the farthest out."""

    def place(measure: Measure) -> tuple[int, bool, float]:
        figure = measure.value if measure.rate is None else measure.rate.share if measure.rate.n else None
        far = 0.0 if figure is None else figure if comparison == "<=" else -figure
        return WORST[measure.verdict], figure is None, far

    return max(measures, key=place)


def paired(base: Sequence[bool], after: Sequence[bool]) -> Paired:
    """Exact McNemar: of the pictures that changed sides, as many should have gone either way. Two-sided.

    Raises ValueError where the two do not pair up.
    """
    pairs = list(zip(base, after, strict=True))
    lost = sum(before and not now for before, now in pairs)
    gained = sum(now and not before for before, now in pairs)
    p = float(binomtest(lost, lost + gained, 0.5).pvalue) if lost + gained else 1.0
    return Paired(lost=lost, gained=gained, p=p)


def distinguishable(a: Rate, b: Rate) -> bool:
    """Do two unpaired rates differ? Fisher's exact test at 5 %; nothing can be told from no pictures."""
    if not (a.n and b.n):
        return False
    return float(fisher_exact([[a.hits, a.n - a.hits], [b.hits, b.n - b.hits]]).pvalue) < 0.05


def rises(points: Iterable[DegreePoint]) -> list[DegreePoint]:
    """The degrees at which more is shown than at some weaker one, beyond noise: none, where the dial is monotone."""
    ordered = sorted(points, key=lambda point: point.degree)
    return [
        point
        for i, point in enumerate(ordered)
        if any(
            point.shown.share > weaker.shown.share and distinguishable(point.shown, weaker.shown)
            for weaker in ordered[:i]
            if weaker.shown.n and point.shown.n
        )
    ]
