"""Windows and layers met with a clock and sites."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.toy import Toy, ToyClock
from tracelang.plan.layers import SelectionError, render, select
from tracelang.plan.types import Difference, GlobSites, InPlaces, ReadsSites, RoleSites, Union, Window
from tracelang.plan.windows import WindowError, in_logsnr

CLOCK = ToyClock()


@given(st.lists(st.integers(1, 999).map(lambda i: i / 1000), min_size=1, max_size=4, unique=True), st.integers(2, 60))
def test_neighbouring_windows_partition_every_samplers_steps(cuts: list[float], steps: int) -> None:
    edges = [0.0, *sorted(cuts), 1.0]
    windows = [in_logsnr(Window(unit="progress", low=low, high=high), CLOCK) for low, high in pairwise(edges)]
    for time in [*CLOCK.times(steps), 0.0, 999.0]:
        assert sum(CLOCK.logsnr(time) in window for window in windows) == 1


@pytest.mark.parametrize("unit", ["progress", "t", "sigma", "logsnr"])
def test_a_window_includes_its_noisier_end_and_excludes_its_cleaner_one(unit: str) -> None:
    noisy, clean = 700.0, 300.0
    low, high = {
        "progress": (1 - noisy / 999, 1 - clean / 999),
        "t": (clean, noisy),
        "sigma": (math.exp(-CLOCK.logsnr(clean) / 2), math.exp(-CLOCK.logsnr(noisy) / 2)),
        "logsnr": (CLOCK.logsnr(noisy), CLOCK.logsnr(clean)),
    }[unit]
    interval = in_logsnr(Window(unit=unit, low=low, high=high), CLOCK)  # type: ignore[arg-type]
    assert interval.low == pytest.approx(CLOCK.logsnr(noisy)) and interval.high == pytest.approx(CLOCK.logsnr(clean))
    assert interval.low in interval and interval.high not in interval
    assert CLOCK.logsnr(500) in interval and CLOCK.logsnr(800) not in interval and CLOCK.logsnr(200) not in interval


def test_training_timesteps_need_a_clock_that_has_them() -> None:
    class Flow(ToyClock):
        unit = "sigma"

    with pytest.raises(WindowError, match="needs training timesteps"):
        in_logsnr(Window(unit="t", low=0, high=500), Flow())


SITES = Toy().sites
KEY, TEXT, PROMPT = RoleSites(role="key"), ReadsSites(reads="text"), ReadsSites(reads="prompt")


@pytest.mark.parametrize(
    ("layers", "tensors"),
    [
        (KEY, ["layers.0.to_k.weight", "layers.1.to_k.weight"]),
        (InPlaces(of=KEY, places=("up",)), ["layers.1.to_k.weight"]),
        (Difference(left=PROMPT, right=TEXT), ["pooled.weight"]),
        (
            Union(members=(GlobSites(pattern="pooled*"), InPlaces(of=KEY, places=("down", "mid")))),
            ["layers.0.to_k.weight", "pooled.weight"],
        ),
    ],
)
def test_a_selector_selects(layers: object, tensors: list[str]) -> None:
    assert [site.tensor for site in select(layers, SITES)] == tensors  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (RoleSites(role="text_in"), "the layers text_in match nothing in this model; it has the roles key, value"),
        (InPlaces(of=KEY, places=("mid", "single")), r"key in \(mid, single\) match nothing .*; key lies in down, up"),
        (GlobSites(pattern="layers.0.to_kk*"), r'"layers.0.to_kk\*" match nothing .* layers.0.to_k'),
        (Difference(left=TEXT, right=PROMPT), "text - prompt match nothing"),
        (Difference(left=PROMPT, right=GlobSites(pattern="poled*")), r'"poled\*" match nothing'),
    ],
)
def test_a_selector_that_matches_nothing_names_what_there_is(layers: object, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        select(layers, SITES)  # type: ignore[arg-type]


def test_rendering_follows_precedence() -> None:
    layers = Difference(
        left=InPlaces(of=Union(members=(KEY, TEXT)), places=("up",)), right=Difference(left=KEY, right=TEXT)
    )
    assert render(layers) == "(key, text) in (up) - (key - text)"
    assert render(GlobSites(pattern='*."x"\\*')) == r'"*.\"x\"\\*"'
