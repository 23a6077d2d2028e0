"""Intervals of pictures that share prompts and of differences on the same targets, against figures worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracelang.evidence.intervals import Targets, clustered, design_effect, holm, newcombe, wilson
from tracelang.evidence.verdicts import rate

N = 60
HITS = st.lists(st.booleans(), min_size=1, max_size=40)


def first(n: int, hits: int) -> list[bool]:
    return [i < hits for i in range(n)]


def table(a: int, b: int, c: int, d: int) -> tuple[list[bool], list[bool]]:
    pairs = [(True, True)] * a + [(True, False)] * b + [(False, True)] * c + [(False, False)] * d
    return [one for one, _ in pairs], [other for _, other in pairs]


def test_newcombe_published() -> None:
    """The standard example of the method: 20, 12, 2, 16 of 50."""
    low, high = newcombe(*table(20, 12, 2, 16))
    assert (round(low, 4), round(high, 4)) == (0.0562, 0.3292)


def test_newcombe_worked_by_hand_where_nothing_pairs() -> None:
    """5 of 10 against 0 of 10: no correlation can be told, so the Wilson ends, 23.66 to 76.34 % and 0 to 27.75 %, add
    up in squares.
    """
    low, high = newcombe(*table(0, 5, 0, 5))
    assert low == pytest.approx(0.5 - sqrt(0.2634**2 + 0.2775**2), abs=1e-3)
    assert high == pytest.approx(0.5 + sqrt(0.2634**2 + 0), abs=1e-3)


@given(HITS, st.integers(0, 10**6))
def test_a_difference_turned_round_has_the_ends_turned_round(one: list[bool], seed: int) -> None:
    other = [bool(x) for x in np.random.default_rng(seed).integers(2, size=len(one))]
    low, high = newcombe(one, other)
    assert newcombe(other, one) == pytest.approx((-high, -low))
    assert low - 1e-12 <= sum(one) / len(one) - sum(other) / len(other) <= high + 1e-12


def test_the_design_effect_worked_by_hand() -> None:
    """Two prompts of two pictures, one of which works always, and two more of two, all and none: 4 of 8. Each is 1 off
    the mean of 1, so the variance is 4/3 · 4/64 = 1/12; of 8 independent ones it would be 1/32.
    """
    assert design_effect([2, 0], [2, 2]) == pytest.approx((1 / 12) / (1 / 32))
    one = clustered([True, True, False, False], ["a", "a", "b", "b"])
    assert (one.low, one.high) == pytest.approx(wilson(0.5, 4 / (8 / 3))) and one.prompts == 2


def test_pictures_of_one_prompt_that_agree_count_as_few_and_as_many_where_they_do_not() -> None:
    prompts = [i % 10 for i in range(100)]
    alike = clustered([i % 10 < 3 for i in range(100)], prompts)
    apart = clustered(first(100, 30), prompts)
    ten, hundred = rate(3, 10), rate(30, 100)
    assert alike.high - alike.low > 0.8 * (ten.high - ten.low)
    assert apart.high - apart.low < 1.5 * (hundred.high - hundred.low)
    assert (alike.hits, alike.n) == (apart.hits, apart.n) == (30, 100)


def test_nothing_found_of_few_prompts_is_not_nothing_found_of_many_pictures() -> None:
    """0 of 100 pictures of 10 prompts: nearly 0 of 10, not 0 of 100; and one hit does not say more than none."""
    prompts = [i % 10 for i in range(100)]
    none, one = (clustered(first(100, hits), prompts) for hits in (0, 1))
    assert none.high == pytest.approx(rate(0, 10).high, abs=0.03) and none.high > 6 * rate(0, 100).high
    assert one.high > none.high - 0.03


@given(HITS)
def test_without_shared_prompts_it_is_wilsons(hits: list[bool]) -> None:
    assert clustered(hits, range(len(hits))) == rate(sum(hits), len(hits))
    assert wilson(sum(hits) / len(hits), len(hits)) == pytest.approx(
        (rate(sum(hits), len(hits)).low, rate(sum(hits), len(hits)).high)
    )


def targets(edited: Sequence[bool], *never: Sequence[bool], base: int = N) -> Targets:
    return Targets(range(N), first(N, base), edited, {f"never-{i}": shown for i, shown in enumerate(never, 1)})


def test_models_that_differ_widen_the_interval() -> None:
    alike = targets(first(N, 30), first(N, 15), first(N, 15), first(N, 15)).above(first(N, 30))
    apart = targets(first(N, 30), first(N, 0), first(N, 15), first(N, 30)).above(first(N, 30))
    assert alike.value == apart.value == pytest.approx(0.25)
    assert alike.low > 0 and apart.low < alike.low and apart.high > alike.high


def test_models_that_lie_far_apart_leave_room_for_one_more() -> None:
    """Two at 10 and 30 of 60: that a third shows 50 is no surprise, and nothing that an edit left."""
    far = targets(first(N, 50), first(N, 10), first(N, 30)).above(first(N, 50))
    near = targets(first(N, 50), first(N, 20), first(N, 20)).above(first(N, 50))
    assert far.value == near.value and far.low < 0 < near.low and near.p < 0.025 < far.p


def test_how_far_models_lie_apart_worked_by_hand() -> None:
    """4 targets, 2 models: 1 1 0 0 and 1 1 1 1. The shares 1/2 and 1 have variance 1/8; about them are left ±1/4 in
    every cell, 8/16 in all on 3 degrees of freedom, of which a share has a fourth: 1/8 − 1/24.
    """
    one = Targets(range(4), first(4, 4), first(4, 4), {"a": first(4, 2), "b": first(4, 4)})
    assert one.apart == pytest.approx(sqrt(1 / 8 - 1 / 24))
    assert targets(first(N, 30), first(N, 15), first(N, 15)).apart == 0


def test_one_twin_is_newcombes_interval() -> None:
    one = targets(first(N, 30), first(N, 15))
    found = one.above(one.edited)
    assert (found.low, found.high) == newcombe(first(N, 30), first(N, 15))
    assert found.p < 0.025 and found.low > 0


def test_targets_that_all_agree_prove_no_more_than_their_number_can() -> None:
    """A bootstrap of constants has no width; 20 targets cannot show that a difference is within 10 points."""
    few = Targets(range(20), first(20, 20), first(20, 0), {f"never-{i}": first(20, 0) for i in range(3)})
    found = few.above(few.edited)
    assert found.value == 0 and found.low < -0.1 and found.high > 0.1


def test_the_level_says_what_the_interval_says() -> None:
    for hits in range(0, N + 1, 4):
        for never in ((first(N, 20),), (first(N, 16), first(N, 20), first(N, 24))):
            one = targets(first(N, hits), *never)
            found = one.above(one.edited)
            assert found.p >= 0.02 if found.low <= 0 else found.p < 0.03


def test_the_share_of_what_there_was() -> None:
    full = targets(first(N, N), first(N, 6), first(N, 9), first(N, 12)).normalised()
    none = targets(first(N, 9), first(N, 6), first(N, 9), first(N, 12)).normalised()
    assert full == (1, 1, 1) and none[0] == pytest.approx(0) and none[1] < 0 < none[2]


def test_the_same_targets_give_the_same_interval() -> None:
    one = targets(first(N, 30), first(N, 15), first(N, 20))
    assert (
        one.above(one.edited)
        == one.above(one.edited)
        == targets(first(N, 30), first(N, 15), first(N, 20)).above(first(N, 30))
    )


def test_holm_worked_by_hand() -> None:
    """Of three at 2.5 %: the least has to be below 0.83 %, the next below 1.25 %, the last below 2.5 %."""
    assert holm([0.02, 0.001, 0.012]) == [True, True, True]
    assert holm([0.02, 0.001, 0.013]) == [False, True, False]
    assert holm([0.009, 0.009, 0.009]) == [False, False, False]
    assert holm([]) == []
