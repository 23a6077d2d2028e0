"""Intervals decide: rates with theirs, and on which side of a bound the whole of one lies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Literal

from tracelang.evidence.schema import Rate, Verdict

WORST: dict[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}


def rate(hits: int, n: int) -> Rate:
    """`hits` of `n`, with its 95 % Wilson interval; of nothing, everything is possible."""
    from scipy.stats import binomtest

    if not n:
        return Rate(hits=0, n=0, low=0.0, high=1.0)
    found = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Rate(hits=hits, n=n, low=float(found.low), high=float(found.high))


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
