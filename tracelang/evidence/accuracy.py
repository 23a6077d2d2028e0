"""A rate that a judge counted, corrected for how often that judge is right (docs/methods.md §5.8).

Of pictures of which a share `π` shows a class, a judge finds it in `p = π Se + (1 − π)(1 − Sp)`, so
`π = (p + Sp − 1)/(Se + Sp − 1)` (Rogan & Gladen 1978). The interval holds every `π` for which
`p − π Se − (1 − π)(1 − Sp)` may be 0: a linear function of three independent binomial shares, whose interval is made of
their own (Zou, Huang & Zhang 2009). With a judge that is known to be perfect it is the rate's own interval.

It holds where the judge errs on these pictures as often as on those that it was measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import hypot

from tracelang.evidence.schema import Accuracy, Corrected, Rate
from tracelang.evidence.verdicts import rate

Known = tuple[float, float, float]
"""A share and its interval."""
ALWAYS: Known = (1.0, 1.0, 1.0)
NEVER: Known = (0.0, 0.0, 0.0)
BLIND = "this judge finds as much where nothing is as where something is"
HALVINGS = 60


def correct(found: Rate, one: Accuracy | None, still: bool = False) -> Rate:
    """The rate with its corrected one, where either side of the judge is known.

    A side that nobody measured is not corrected for: the interval's end that it would move stays. `still`: of pictures
    in which the same judge found the same class before. What it missed among them is not like what it misses
    elsewhere, so nothing is added to the lower end.
    """
    sensitivity, specificity = (side(one.sensitivity), side(one.specificity)) if one else (None, None)
    if not found.n or (sensitivity is None and specificity is None):
        return found
    if sensitivity and specificity and sensitivity[0] + specificity[0] <= 1:
        told = Corrected(share=found.share, low=0.0, high=1.0, note=BLIND)
        return found.model_copy(update={"corrected": told})
    s = sensitivity or ALWAYS
    f = NEVER if specificity is None else (1 - specificity[0], 1 - specificity[2], 1 - specificity[1])
    p = found.share, found.low, found.high
    low = found.low if specificity is None else _low(p, ALWAYS if still else s, f)
    high = found.high if sensitivity is None else _high(p, s, f)
    share = _share(p, ALWAYS if still else s, f)
    told = Corrected(share=share, low=min(low, share), high=max(high, share))
    return found.model_copy(update={"corrected": told})


def corrected_difference(found: Known, one: Accuracy | None) -> Known:
    """The difference of two shares that the same judge counted, which is `Se + Sp − 1` times the true one. A side that
    nobody measured is not corrected for; of a judge that may find as much where nothing is, it may be anything.
    """
    sensitivity, specificity = (side(one.sensitivity), side(one.specificity)) if one else (None, None)
    if sensitivity is None and specificity is None:
        return found
    s, c = sensitivity or ALWAYS, specificity or ALWAYS
    J = s[0] + c[0] - 1
    down, up = hypot(s[0] - s[1], c[0] - c[1]), hypot(s[2] - s[0], c[2] - c[0])
    value, low, high = found
    if J - down <= 0:
        return value, -1.0, 1.0

    def least(x: float) -> float:
        """The lower end of `value − x J`: above 0 where x is too small."""
        return value - x * J - hypot(value - low, x * (up if x > 0 else down))

    def most(x: float) -> float:
        return value - x * J + hypot(high - value, x * (down if x > 0 else up))

    return (
        min(1.0, max(-1.0, value / J)),
        -1.0 if least(-1.0) <= 0 else _crossing(least, -1.0, 1.0),
        1.0 if most(1.0) >= 0 else _crossing(most, -1.0, 1.0),
    )


def together(every: Iterable[Accuracy | None]) -> Accuracy | None:
    """Of a set whose pictures count together, the accuracy over its classes; None where one of them is not known.

    Pictures that show different classes are different pictures, and are added up. Those that show none are mostly the
    same for all, so of them the fewest count.
    """
    parts = list(every)
    known = {one.label: one for one in parts if one is not None}
    if not known or None in parts:
        return None
    if len(known) == 1:
        return next(iter(known.values()))
    there = [one.sensitivity for one in known.values() if one.sensitivity and one.sensitivity.n]
    absent = [one.specificity for one in known.values() if one.specificity and one.specificity.n]
    n = min((one.n for one in absent), default=0)
    passed = sum(one.share for one in absent) / len(absent) if absent else 0.0
    return Accuracy(
        label=", ".join(known),
        sensitivity=rate(sum(one.hits for one in there), sum(one.n for one in there))
        if len(there) == len(known)
        else None,
        specificity=rate(round(n * passed), n) if len(absent) == len(known) else None,
    )


def side(measured: Rate | None) -> Known | None:
    """A share that somebody measured on something."""
    return (measured.share, measured.low, measured.high) if measured and measured.n else None


def _share(p: Known, s: Known, f: Known) -> float:
    return min(1.0, max(0.0, (p[0] - f[0]) / (s[0] - f[0]))) if s[0] > f[0] else 1.0


def _low(p: Known, s: Known, f: Known) -> float:
    """The least share that the figures leave possible."""

    def most(share: float) -> float:
        """The lower end of the linear function: above 0 where the share is too small."""
        rest = 1 - share
        reach = hypot(p[0] - p[1], share * (s[2] - s[0]), rest * (f[2] - f[0]))
        return p[0] - share * s[0] - rest * f[0] - reach

    return 0.0 if most(0.0) <= 0 else _crossing(most, 0.0, _share(p, s, f))


def _high(p: Known, s: Known, f: Known) -> float:
    """The largest share that the figures leave possible."""

    def least(share: float) -> float:
        """The upper end of the linear function: below 0 where the share is too large."""
        rest = 1 - share
        reach = hypot(p[2] - p[0], share * (s[0] - s[1]), rest * (f[0] - f[1]))
        return p[0] - share * s[0] - rest * f[0] + reach

    return 1.0 if least(1.0) >= 0 else _crossing(least, _share(p, s, f), 1.0)


def _crossing(of: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls from above 0 to below crosses it. Convex or concave, it does so once."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if of(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
