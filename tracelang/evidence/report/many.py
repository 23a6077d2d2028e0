"""Many expectations at once: what each says when they are read as a family.

That *all* of them hold needs no adjustment: each was shown by itself. Of any one picked out afterwards, a pass or a
fail, Holm's step-down (1979) says whether it would stand among so many.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from scipy.stats import binom, norm

from tracelang.evidence.intervals import wilson
from tracelang.evidence.report.wording import formula
from tracelang.evidence.schema import Many, Measure, Outcome, Rate
from tracelang.evidence.verdicts import decide

LEVEL = 0.025
"""One side of 95 %."""
Z = float(norm.isf(LEVEL))


def many(outcomes: Sequence[Outcome]) -> tuple[Many, ...]:
    """Every expectation that the interval of a share decided, with its chance, alone and among the others."""
    decided = [one for one in outcomes if one.verdict != "inconclusive" and one.rate is not None and one.rate.n]
    chances = [_chance(one) for one in decided]
    adjusted = holm(chances)
    return tuple(
        Many(
            what=formula(one),
            verdict=one.verdict,
            p=p,
            holm=held,
            stays=held <= LEVEL,
            members=len(one.measures),
            alarm=_alarm(one) if len(one.measures) > 1 else None,
        )
        for one, p, held in zip(decided, chances, adjusted, strict=True)
    )


def holm(chances: Sequence[float]) -> list[float]:
    """The chances adjusted for their number: the smallest times n, the next times n − 1, …, never falling."""
    found, last = [0.0] * len(chances), 0.0
    for i, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        last = max(last, min(1.0, chances[place] * (len(chances) - i)))
        found[place] = last
    return found


def _chance(one: Outcome) -> float:
    """Of a fail by one member alone, that member's, times how many there are."""
    assert one.rate is not None
    own = _tail(one.rate, one)
    worst = [_tail(measure.rate, one) for measure in one.measures if measure.verdict == "fail" and measure.rate]
    alone = min(1.0, min(worst) * len(one.measures)) if one.verdict == "fail" and worst else 1.0
    pool = own if decide(one.rate.decides.low, one.rate.decides.high, one.comparison, one.bound) == one.verdict else 1.0
    return min(pool, alone)


def _tail(found: Rate, one: Outcome) -> float:
    """How likely a share so far from the bound would be at it: by the score that Wilson's interval is made of, or as
    far as another interval is wide.
    """
    share, bound = found.decides.share, one.bound
    if found.corrected is None and found.prompts is None:
        spread = sqrt(bound * (1 - bound) / found.n)
    else:
        spread = (found.decides.high - share if bound > share else share - found.decides.low) / Z
    if not spread:
        return 0.0 if share != bound else 1.0
    return float(norm.sf(abs(share - bound) / spread))


def _alarm(one: Outcome) -> float | None:
    """How likely one member at least would fail, were the share of each just the bound."""
    fine = 1.0
    for measure in one.measures:
        fine *= 1 - _fails(measure, one)
    return 1 - fine


def _fails(measure: Measure, one: Outcome) -> float:
    if measure.rate is None or not measure.rate.n:
        return 0.0
    n = measure.rate.n
    lost = [k for k in range(n + 1) if decide(*wilson(k / n, n), one.comparison, one.bound) == "fail"]
    return float(sum(binom.pmf(k, n, one.bound) for k in lost))
