"""Half-lives and their ratio, against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracelang.evidence.half_life import Curves, gains, half_life, half_of_gain, half_of_start, ratio

GRID = (0, 9, 99)


def curves(*rates: float, seeds: int = 1, things: int = 4) -> Curves:
    """Curves of these means: of `things` pictures the first ones show it."""
    one = [[float(i < round(rate * things)) for i in range(things)] for rate in rates]
    return np.array([one] * seeds)


def test_between_two_points_the_logarithm_of_the_step_counts() -> None:
    assert half_life((0.0, 0.0, 1.0), GRID, 0.5).steps == pytest.approx(math.sqrt(10 * 100) - 1)
    assert half_life((0.0, 1.0, 1.0), GRID, 0.5).steps == pytest.approx(math.sqrt(10) - 1)
    assert half_life((0.0, 0.5, 0.2), GRID, 0.5).steps == pytest.approx(9)  # the first time, though it falls again


def test_what_was_there_from_the_start_takes_no_step_and_what_never_comes_is_censored() -> None:
    there, never = half_life((0.5, 0.0, 0.0), GRID, 0.5), half_life((0.0, 0.1, 0.4), GRID, 0.5)
    assert (there.steps, there.censored, there.log) == (0.0, False, 0.0)
    assert (never.steps, never.censored) == (99.0, True)


def test_the_ratio_of_a_model_with_itself_is_1_and_a_slower_one_s_is_above() -> None:
    base, slow, quick = curves(1, 1, 1), curves(0, 0, 1), curves(0, 1, 1)
    same = ratio(quick, [quick, quick], base, GRID, half_of_start)
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
    found = ratio(slow, [quick], base, GRID, half_of_start)
    assert found.value == pytest.approx(10)  # √1000 over √10
    assert ratio(quick, [slow], base, GRID, half_of_start).value == pytest.approx(1 / 10)


def test_one_censored_half_life_bounds_the_ratio_on_one_side_and_two_leave_none() -> None:
    base, never, quick = curves(1, 1, 1), curves(0, 0, 0), curves(0, 1, 1)
    hard = ratio(never, [quick], base, GRID, half_of_start)
    assert hard.low == pytest.approx(100 / math.sqrt(10)) and hard.high is None and hard.edited.censored
    easy = ratio(quick, [never], base, GRID, half_of_start)
    assert easy.low is None and easy.high == easy.value == pytest.approx(math.sqrt(10) / 100)
    assert (hard.bound, easy.bound, ratio(quick, [quick], base, GRID, half_of_start).bound) == (
        "at least",
        "at most",
        None,
    )
    none = ratio(never, [never], base, GRID, half_of_start)
    assert (none.value, none.low, none.high, none.bound) == (None, None, None, None)
    with pytest.raises(ValueError, match="never knew"):
        ratio(quick, [], base, GRID, half_of_start)


def test_an_upper_bound_has_no_lower_end_though_single_draws_have_one() -> None:
    base = np.concatenate([curves(1, 1, 1)] * 3)
    edited = np.concatenate([curves(0, 1, 1)] * 3)
    twins = np.concatenate([curves(0, 0, 1), curves(0, 0, 0), curves(0, 0, 0)])  # a third of half is back on the mean
    found = ratio(edited, [twins], base, GRID, half_of_start)
    assert found.bound == "at most" and found.low is None and found.value == pytest.approx(math.sqrt(10) / 100)
    assert found.high is not None and found.high >= found.value


def test_draws_take_seeds_and_twins_again_and_repeat() -> None:
    base = np.concatenate([curves(1, 1, 1)] * 2)
    edited = np.concatenate([curves(0, 0, 1), curves(0, 1, 1)])  # one seed learns at √1000, the other at √10
    twins = [np.concatenate([curves(0, 1, 1)] * 2), np.concatenate([curves(0, 0, 1)] * 2)]
    found = ratio(edited, twins, base, GRID, half_of_start)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low == pytest.approx(0.1) and found.high == pytest.approx(10) and found.low < found.value < found.high
    assert found == ratio(edited, twins, base, GRID, half_of_start)
    paired = ratio(edited, [edited], base, GRID, half_of_start)
    assert (paired.low, paired.high) == (1.0, 1.0)  # the same seeds of both, draw for draw


def test_a_loss_is_halved_by_its_own_fall_and_what_hardly_falls_is_never_learnt() -> None:
    losses = np.array([[[4.0, 2.0], [3.0, 1.0], [2.0, 0.0]]])  # two figures, from 3 to 1 on the mean
    mean = gains(losses).mean(axis=(0, 2))
    assert mean.tolist() == [0, 1, 2] and half_of_gain(mean, mean) == 1
    assert half_life(mean, GRID, half_of_gain(mean, mean)).steps == pytest.approx(9)
    assert half_of_gain(0.4 * mean, mean) == math.inf  # less than half of what the base gains
    assert half_life(-mean, GRID, half_of_gain(-mean, mean)).censored
