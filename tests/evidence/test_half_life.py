"""Half-lives and their ratio, against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracelang.evidence import half_life as half_lives
from tracelang.evidence.half_life import Curves, between, gains, half_life, half_of_gain, half_of_start, ratio

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


def test_the_interval_of_one_model_is_over_the_pictures_and_open_where_training_may_end_before() -> None:
    base = curves(1, 1, 1)
    assert between(curves(0, 1, 1), base, GRID, half_of_start) == pytest.approx((math.sqrt(10) - 1,) * 2)
    assert between(curves(0, 0, 0), base, GRID, half_of_start) == (GRID[-1], None)
    low, high = between(curves(0, 0.5, 0.75, things=24), curves(1, 1, 1, things=24), GRID, half_of_start)
    assert low < 9 < 99 and (high is None or 9 < high <= 99)
    few, some = (between(curves(0, 0.25, 1, things=n), curves(1, 1, 1, things=n), GRID, half_of_start) for n in (8, 64))
    assert few[1] is not None and some[1] is not None and few[1] - few[0] > some[1] - some[0]


def test_the_ratio_of_a_model_with_itself_is_1_and_a_slower_one_s_is_above() -> None:
    base, slow, quick = curves(1, 1, 1), curves(0, 0, 1), curves(0, 1, 1)
    same = ratio(quick, [quick, quick], base, GRID, half_of_start)
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
    found = ratio(slow, [quick], base, GRID, half_of_start)
    assert found.value == pytest.approx(10)  # √1000 over √10
    assert ratio(quick, [slow], base, GRID, half_of_start).value == pytest.approx(1 / 10)


def test_one_censored_half_life_bounds_the_ratio_on_one_side_and_two_leave_none() -> None:
    base, never, quick = curves(1, 1, 1), curves(0, 0, 0), curves(0, 1, 1)
    hard = ratio(never, [quick, quick], base, GRID, half_of_start)
    assert hard.low == pytest.approx(100 / math.sqrt(10)) and hard.high is None and hard.edited.censored
    easy = ratio(quick, [never, never], base, GRID, half_of_start)
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
    asked = half_lives._Asked(edited, np.stack(twins), base, GRID, half_of_start)
    assert half_lives._resampled(asked, 2000) == pytest.approx((-math.log(10), math.log(10)))
    assert found == ratio(edited, twins, base, GRID, half_of_start)
    paired = ratio(edited, [edited], base, GRID, half_of_start)
    assert (paired.low, paired.high) == (1.0, 1.0)  # the same seeds of both, draw for draw


def test_so_far_as_one_more_of_few_twins_may_lie_the_ratio_is_not_known() -> None:
    """Two at √10 and √1000 steps: their logarithms differ by log 10, whose standard deviation is that over √2."""
    base, edited = curves(1, 1, 1), curves(0, 0, 1)
    found = ratio(edited, [curves(0, 1, 1), curves(0, 0, 1)], base, GRID, half_of_start)
    reach = 12.7062 * math.log(10) / math.sqrt(2) * math.sqrt(1 + 1 / 2)
    assert found.value is not None and found.low is not None and found.high is not None
    assert math.log(found.high / found.value) == pytest.approx(reach, rel=1e-4)
    assert math.log(found.low / found.value) == pytest.approx(-reach, rel=1e-4)
    part = ratio(curves(0, 1, 1), [curves(0, 1, 1)] * 2 + [curves(0, 0, 0)], base, GRID, half_of_start)
    assert part.bound is None and part.low is None and part.high is not None  # one of them was never seen to learn it


def test_of_one_twin_its_trainings_say_how_sure_the_ratio_is_and_one_of_them_says_nothing() -> None:
    base = np.concatenate([curves(1, 1, 1)] * 2)
    edited, twin = np.concatenate([curves(0, 0, 1), curves(0, 1, 1)]), np.concatenate([curves(0, 1, 1)] * 2)
    found = ratio(edited, [twin], base, GRID, half_of_start)
    reach = 12.7062 * math.log(10) / 2  # of log ratios log 10 and 0: their deviation over √2
    assert found.value is not None and found.high == pytest.approx(found.value * math.exp(reach), rel=1e-3)
    alone = ratio(edited[:1], [twin[:1]], base[:1], GRID, half_of_start)
    assert alone.value == pytest.approx(10) and (alone.low, alone.high) == (None, None)


@pytest.mark.parametrize("twins", [2, 3])
def test_the_interval_holds_the_ratio_of_models_that_are_alike_as_often_as_it_says(twins: int) -> None:
    """Of models that lie apart as twins do, one taken for edited: 95 of 100 times, and not by resampling alone."""
    steps, things, seeds, trials = (0, 10, 20, 50, 100), 24, 2, 100
    base = np.ones((seeds, len(steps), things))

    def trained(random: np.random.Generator) -> Curves:
        own = math.log(25) + 0.3 * random.standard_normal()
        each = own + 0.15 * random.standard_normal((seeds, 1, 1))
        shown = 0.95 / (1 + np.exp(-3 * (np.log1p(steps)[:, None] - each)))
        shown[:, 0] = 0
        return (random.random((seeds, 1, things)) < shown).astype(float)

    held = resampled = 0
    for trial in range(trials):
        random = np.random.default_rng(trial)
        edited, never = trained(random), [trained(random) for _ in range(twins)]
        found = ratio(edited, never, base, steps, half_of_start, draws=40)
        held += (found.low or 0.0) <= 1 <= (math.inf if found.high is None else found.high)
        asked = half_lives._Asked(edited, np.stack(never), base, steps, half_of_start)
        low, high = half_lives._resampled(asked, 40)
        resampled += low <= 0 <= high
    assert held >= 0.9 * trials and resampled < 0.85 * trials


def test_a_loss_is_halved_by_its_own_fall_and_what_hardly_falls_is_never_learnt() -> None:
    losses = np.array([[[4.0, 2.0], [3.0, 1.0], [2.0, 0.0]]])  # two figures, from 3 to 1 on the mean
    mean = gains(losses).mean(axis=(0, 2))
    assert mean.tolist() == [0, 1, 2] and half_of_gain(mean, mean) == 1
    assert half_life(mean, GRID, half_of_gain(mean, mean)).steps == pytest.approx(9)
    assert half_of_gain(0.4 * mean, mean) == math.inf  # less than half of what the base gains
    assert half_life(-mean, GRID, half_of_gain(-mean, mean)).censored
