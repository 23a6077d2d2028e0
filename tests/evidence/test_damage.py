"""Whether training damages an edited model more than those it is compared with, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evidence.test_half_life import curves
from tracelang.evidence.damage import kept

KNOWN = np.ones((1, 20), dtype=np.bool_)


def test_what_both_lose_alike_is_no_damage_and_what_one_loses_more_is() -> None:
    half, full = curves(1, 0.5, 0.5, things=20), curves(1, 1, 1, things=20)
    same = kept(half, [half, half], KNOWN, 3)
    assert (same.n, same.value, same.low, same.high) == (20, 1.0, 1.0, 1.0)
    assert same.edited == same.never == pytest.approx((1 + 0.5 + 0.5) / 3)  # the mean over the looks
    worse = kept(half, [full, full], KNOWN, 3)
    assert worse.value == pytest.approx(2 / 3) and worse.high is not None and worse.low < 2 / 3 < worse.high


def test_few_models_that_lie_apart_say_less_and_one_training_of_one_model_nothing() -> None:
    three, full = curves(1, 0.75, 0.75, things=20), curves(1, 1, 1, things=20)
    alike, apart = kept(three, [full] * 3, KNOWN, 3), kept(three, [full, full, three], KNOWN, 3)
    # ln(5/6) of one of three, nothing of two: t(2) s sqrt(1 + 1/3) = 4.303 * 0.1053 * 1.155
    assert apart.value == pytest.approx(5 / 6 / (17 / 18)) and alike.low > 0.6
    assert apart.low == pytest.approx(apart.value * np.exp(-0.5231), rel=1e-3)
    once = kept(three, [full], KNOWN, 3)
    assert (once.value, once.low, once.high) == (pytest.approx(5 / 6), 0.0, None)
    twice = kept(np.concatenate([three, three]), [np.concatenate([full, full])], np.concatenate([KNOWN, KNOWN]), 3)
    assert twice.low > 0.6 and twice.high is not None


def test_only_the_looks_up_to_the_half_life_count() -> None:
    late, full = curves(1, 1, 0, things=20), curves(1, 1, 1, things=20)
    assert kept(late, [full], KNOWN, 2).value == 1
    assert kept(late, [full], KNOWN, 3).value == pytest.approx(2 / 3)


def test_only_what_all_models_knew_before_counts() -> None:
    first, full = curves(0.5, 0.5, 0.5, things=20), curves(1, 1, 1, things=20)
    found = kept(first, [full], first[:, 0] > 0, 3)
    assert (found.n, found.value) == (10, 1.0)
    with pytest.raises(ValueError, match="nothing is known"):
        kept(first, [full], ~KNOWN, 3)


def test_models_that_keep_nothing_compare_with_nothing() -> None:
    full, none = curves(1, 1, 1, things=20), curves(0, 0, 0, things=20)
    found = kept(full, [none], KNOWN, 3)
    assert (found.value, found.low, found.high) == (None, 0.0, None)
