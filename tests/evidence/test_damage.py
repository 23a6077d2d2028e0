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
    worse = kept(half, [full], KNOWN, 3)
    assert worse.value == pytest.approx(2 / 3) and worse.high is not None and worse.low < 2 / 3 < worse.high


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
