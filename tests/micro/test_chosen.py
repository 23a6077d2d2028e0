"""Trained models tell a thing from its anchor in the middle of sampling."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracelang
from tests.engine.plans import run
from tracelang.engine import auto
from tracelang.semantics.passes import steer as declared
from tracelang_micro import measure, table

METHOD = """
method m
define method m {
  steer { steps = 2  batch = 2  trajectories = 16  sampler_steps = 6
    push during auto 50% {}  hold during 0%..auto 50% {} }
}
"""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six levels and one noise instead of twenty and four."""
    for module in (auto, declared):
        monkeypatch.setattr(module, "LEVELS", 6)
        monkeypatch.setattr(module, "NOISES", 1)


@pytest.mark.parametrize("name", ["micro-sd", "micro-flux"])
def test_the_middle_of_sampling_tells_a_cat_from_a_deer(name: str, tmp_path: Path) -> None:
    plan = tracelang.compile(table.recipe(table.BY_NAME["cat"], METHOD, "deer"))
    found = run(plan, measure.bench(name).model, cache=tmp_path).figures["steer"][0]["auto"]
    told, low = found["told"], found["low"]
    peak = told.index(max(told))
    assert len(told) == 6 and 0 < peak < 5 and low[peak] > 0.2 and max(told[0], told[-1]) < 0.5 * told[peak]
    assert found["windows"]["push"]["inside"] > 0.5
