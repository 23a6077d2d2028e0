"""The degree is a dial where adapters sit on every matrix: the further turned, the further the prediction goes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests import random_flux, random_sd
from tests.engine.plans import erasure, plan, run, steer, term
from tracelang.engine.edit import applied
from tracelang.models.locate import family_of, locate
from tracelang.models.protocol import Model
from tracelang.plan.types import ReadsSites

STRENGTH = 0.25
MODELS: dict[str, Callable[[Path], Path]] = {
    "sd": random_sd.build,
    "flux": random_flux.build,
    "micro-sd": lambda folder: locate("micro-sd"),
}
STEPS = 20


def gone(model: Model, degree: float) -> list[float]:
    """How much of the way from `pred°(X)` to `push`'s target the edit goes, under noise that no training saw."""
    settings = steer(
        on=ReadsSites("denoiser"),
        steps=STEPS,
        rate=1e-2,
        batch=4,
        trajectories=4,
        terms=(term("push", strength=STRENGTH), term("keep")),
    )
    edit = run(plan((erasure("cat", degree=degree),), settings, preserve={"dog": 1.0}), model, cache=None)
    x, c, e = model.noise([90]), model.encode(["a cat"]), model.unconditional()
    found = []
    with torch.no_grad():
        for progress in (0.1, 0.3, 0.5):
            t = torch.tensor([model.clock.time(progress)])
            frozen = model.predict(x, t, c)
            way = model.predict(x, t, e) - frozen + STRENGTH * (model.predict(x, t, e) - frozen)
            with applied(model, edit) as edited:
                moved = edited.predict(x, t, c) - frozen
            found.append(float((moved * way).sum() / way.square().sum()))
    return found


@pytest.mark.parametrize("name", ["sd", "flux", pytest.param("micro-sd", marks=pytest.mark.slow)])
def test_the_further_the_degree_the_further_the_prediction_goes(name: str, tmp_path: Path) -> None:
    base = MODELS[name](tmp_path)
    model = family_of(base).load(base)
    ways = [gone(model, degree) for degree in (0.25, 0.5, 1.0)]
    for less, more in pairwise(ways):
        assert 0 < 1.2 * sum(less) < sum(more), ways
