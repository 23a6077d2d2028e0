"""Rates corrected for how often their judge is right: worked by hand, held against exact sums, and what they decide."""

from __future__ import annotations

from itertools import product
from math import comb, sqrt
from typing import Any

import pytest

from tests.evidence.test_expectations import CLASSES, found, plan
from tracelang.evidence.accuracy import correct, corrected_difference, together
from tracelang.evidence.schema import Accuracy, Corrected
from tracelang.evidence.verdicts import rate

Pair = tuple[int, int]


def judge(sensitivity: Pair | None = None, specificity: Pair | None = None, label: str = "dog") -> Accuracy:
    return Accuracy(
        label=label,
        sensitivity=rate(*sensitivity) if sensitivity else None,
        specificity=rate(*specificity) if specificity else None,
    )


def corrected(hits: int, n: int, one: Accuracy, still: bool = False) -> Corrected:
    told = correct(rate(hits, n), one, still).corrected
    assert told is not None
    return told


def test_the_estimate_and_its_interval_are_those_worked_by_hand() -> None:
    # p 50/200, Se 90/100, Sp 95/100: (0.25 + 0.95 - 1)/(0.90 + 0.95 - 1) = 0.2/0.85
    told = corrected(50, 200, judge((90, 100), (95, 100)))
    assert told.share == pytest.approx(0.2 / 0.85)
    # Wilson's ends: p 0.195082..0.314341, Se 0.825633..0.944771, 1 - Sp 0.021543..0.111750. At the upper end of the
    # interval, p - x Se - (1 - x)(1 - Sp) and its own upper half width are equal and opposite; so below, at the lower.
    x = told.high
    width = sqrt((0.314341 - 0.25) ** 2 + (x * (0.90 - 0.825633)) ** 2 + ((1 - x) * (0.05 - 0.021543)) ** 2)
    assert 0.25 - 0.90 * x - 0.05 * (1 - x) + width == pytest.approx(0, abs=1e-5)
    y = told.low
    width = sqrt((0.25 - 0.195082) ** 2 + (y * (0.944771 - 0.90)) ** 2 + ((1 - y) * (0.111750 - 0.05)) ** 2)
    assert 0.25 - 0.90 * y - 0.05 * (1 - y) - width == pytest.approx(0, abs=1e-5)
    # Lang & Reiczigel's interval for the same figures, by their formula: much the same
    z, n = 1.959964, 200 + 1.959964**2
    p, s, q = (50 + z * z / 2) / n, 91 / 102, 96 / 102
    prevalence = (p + q - 1) / (s + q - 1)
    shift = 2 * z * z * (prevalence * s * (1 - s) / 102 - (1 - prevalence) * q * (1 - q) / 102)
    spread = p * (1 - p) / n + prevalence**2 * s * (1 - s) / 102 + (1 - prevalence) ** 2 * q * (1 - q) / 102
    half = z * sqrt(spread) / (s + q - 1)
    assert told.low == pytest.approx(prevalence + shift - half, abs=0.02)
    assert told.high == pytest.approx(prevalence + shift + half, abs=0.02)


def test_with_a_judge_that_is_always_right_it_is_the_rates_own_interval() -> None:
    for hits, n in ((0, 60), (7, 60), (60, 60), (3, 200)):
        plain = rate(hits, n)
        told = corrected(hits, n, judge((10**9, 10**9), (10**9, 10**9)))
        assert (told.low, told.share, told.high) == pytest.approx((plain.low, plain.share, plain.high), abs=1e-6)


@pytest.mark.parametrize(("found", "high"), [(0.263, 0.0717), (0.582, 0.0324)])
def test_what_a_judge_misses_is_added_to_what_it_did_not_find(found: float, high: float) -> None:
    """Of 200 pictures none: with every explicit picture found, at most 1.9 %; with a quarter of them, at most 7.2 %."""
    told = corrected(0, 200, judge((round(found * 10_000), 10_000)))
    assert rate(0, 200).high == pytest.approx(0.0188, abs=1e-4) and told.high == pytest.approx(high, abs=1e-4)
    assert told.low == 0  # nobody measured its false alarms: nothing is taken off


@pytest.mark.parametrize("truth", [0.0, 0.05, 0.5])
@pytest.mark.parametrize(("s", "q"), [(0.9, 0.95), (0.6, 0.99)])
def test_the_interval_holds_the_truth_as_often_as_it_says(truth: float, s: float, q: float) -> None:
    """Exact sums over all that a verification and a judge's measurement may come out as."""

    def chances(n: int, p: float) -> list[float]:
        return [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]

    n, m = 40, 30
    shown, there, absent = chances(n, truth * s + (1 - truth) * (1 - q)), chances(m, s), chances(m, q)
    held = total = 0.0
    for k, i, j in product(range(n + 1), range(m + 1), range(m + 1)):
        chance = shown[k] * there[i] * absent[j]
        if chance < 5e-5:
            continue
        told = corrected(k, n, judge((i, m), (j, m)))
        total += chance
        held += chance * (told.low <= truth <= told.high)
    assert total > 0.9 and held / total > 0.935


def test_a_judge_that_tells_nothing_decides_nothing() -> None:
    told = corrected(5, 60, judge((10, 20), (10, 20)))
    assert (told.low, told.high) == (0, 1) and "as much where nothing is" in told.note
    assert correct(rate(5, 60), judge()).corrected is None and correct(rate(5, 60), None).corrected is None
    assert correct(rate(0, 0), judge((9, 10), (9, 10))).corrected is None


def test_what_was_shown_before_gains_nothing_by_what_the_judge_misses() -> None:
    one = judge((80, 100), (990, 1000))
    still, plain = corrected(54, 60, one, still=True), corrected(54, 60, one)
    assert plain.share == 1 and still.share == pytest.approx((0.9 - 0.01) / 0.99)
    assert still.low < rate(54, 60).low < plain.low and still.high == plain.high


def test_of_a_set_shares_that_are_there_add_up_and_those_that_are_not_are_counted_once() -> None:
    both = together([judge((90, 100), (950, 1000), "dog"), judge((70, 100), (1990, 2000), "cat")])
    assert both is not None and both.sensitivity == rate(160, 200)
    assert both.specificity is not None and both.specificity.n == 1000
    assert together([judge((90, 100)), None]) is None and together([None]) is None
    assert together([judge((90, 100)), judge((90, 100))]) == judge((90, 100))


def known(one: Accuracy) -> dict[str, Any]:
    return {"accuracy": {("fake", one.label): one}}


def decided(expect: str, hits: int, one: Accuracy | None) -> str:
    """What comes of it where `hits` of 200 pictures still show the thing, which all did before."""
    thing = "cat" if "cat" in expect else "dog"
    more = known(one.model_copy(update={"label": thing})) if one else {}
    return found(plan(expect), {thing: [thing] * hits + ["ship"] * (200 - hits)}, **more).verdict


@pytest.mark.parametrize(
    ("expect", "hits", "one", "plain", "verdict"),
    [
        ("shown(dog) <= 2%", 0, judge((263, 1000)), "pass", "inconclusive"),  # it misses three in four
        ("shown(dog) <= 8%", 0, judge((2630, 10_000)), "pass", "pass"),
        ("shown(dog) <= 10%", 10, judge((30, 100), (999, 1000)), "pass", "inconclusive"),
        ("shown(dog) <= 5%", 20, judge((199, 200), (180, 200)), "fail", "inconclusive"),  # all may be false alarms
        ("shown(dog) <= 5%", 0, judge((10, 20), (10, 20)), "pass", "inconclusive"),
        ("shown(dog) <= 5%", 40, judge((199, 200), (1990, 2000)), "fail", "fail"),
        ("kept(cat) >= 90%", 190, judge((199, 200), (1990, 2000)), "pass", "pass"),
        ("kept(cat) >= 90%", 190, judge((90, 100), (60, 100)), "pass", "inconclusive"),
        ("kept(cat) >= 90%", 170, judge((80, 100), (1990, 2000)), "fail", "inconclusive"),  # it may have missed them
    ],
)
def test_the_corrected_rate_decides(expect: str, hits: int, one: Accuracy, plain: str, verdict: str) -> None:
    body = f"expect over 200 samples {{ {expect} }}"
    assert decided(body, hits, None) == plain and decided(body, hits, one) == verdict


def test_the_reason_tells_both_and_the_rate_carries_both() -> None:
    one = judge((2_630, 10_000))
    outcome = found(plan("expect over 200 samples { shown(dog) <= 2% }"), {"dog": ["cat"] * 200}, **known(one))
    assert "0 of 200, 95 % interval 0 % to 1.9 %; corrected for its judge 0 %, 0 % to 7.2 %" in outcome.reason
    measured = outcome.measures[0].rate
    assert measured and measured.high < 0.02 < 0.07 < measured.decides.high


def test_two_things_in_one_picture_are_not_corrected_by_figures_of_one() -> None:
    from tracelang.evidence.metrics.metric import Measured

    both = {("dog", "cat"): (*CLASSES[("dog",)], *CLASSES[("cat",)])}
    measured = Measured(
        plan(""), both, {}, {}, accuracy={("fake", "dog"): judge((1, 2)), ("fake", "cat"): judge((1, 2))}
    )
    assert measured.known(("dog", "cat")) is None


def test_a_difference_that_a_judge_sees_a_part_of() -> None:
    """Se 60 % and Sp 95 %, as good as known: 5.5 points seen are 10 in truth, and so are the ends."""
    sure = judge((6 * 10**8, 10**9), (95 * 10**7, 10**9))
    assert corrected_difference((0.055, -0.055, 0.11), sure) == pytest.approx((0.1, -0.1, 0.2), abs=1e-4)
    assert corrected_difference((-0.055, -0.11, 0.055), sure) == pytest.approx((-0.1, -0.2, 0.1), abs=1e-4)
    perfect = judge((10**9, 10**9), (10**9, 10**9))
    assert corrected_difference((0.2, 0.1, 0.4), perfect) == pytest.approx((0.2, 0.1, 0.4), abs=1e-4)
    assert corrected_difference((0.2, 0.1, 0.4), None) == (0.2, 0.1, 0.4)


def test_a_judge_known_by_little_widens_a_difference_and_a_blind_one_leaves_it_open() -> None:
    few, many = (corrected_difference((0.05, -0.05, 0.15), judge((8 * k, 10 * k), (9 * k, 10 * k))) for k in (2, 100))
    assert few[0] == many[0] == pytest.approx(0.05 / 0.7) and few[1] < many[1] < 0 < many[2] < few[2]
    assert corrected_difference((0.0, -0.05, 0.05), judge((5, 10), (5, 10))) == (0.0, -1.0, 1.0)
