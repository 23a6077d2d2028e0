"""Methods with losses on attention, and of two stages, on every family: cut short, from recipe to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import random_flux

import tracelang
from tracelang.engine.run import run
from tracelang.models.family import facts
from tracelang.plan.bind import bind
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion, StableDiffusionXL

FAMILIES = {"tiny": StableDiffusion(), "tiny_sd2": StableDiffusion(), "tiny_sdxl": StableDiffusionXL(), "flux": Flux()}
SHORT = "steps = 2  {0}.batch = 2  {0}.trajectories = 2  {0}.sampler_steps = 8"
METHODS = {
    "mace": f"steer.{SHORT.format('steer')}",
    "eraseanything": f"steer.{SHORT.format('steer')}",
    "stereo": f"search.{SHORT.format('search')}  last.{SHORT.format('last')}"
    "  search.adversary_after = 1  search.adversary_every = 1  search.adversary_steps = 2",
}
RECIPE = """
concept feline {{ names "cat", "red cat"  probes "kitty" }}
erase feline toward "ship"
preserve "dog", "truck", "photo"
method {} {{ {} }}
"""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    if request.param == "flux":
        return FAMILIES["flux"], random_flux.build(tmp_path_factory.mktemp("methods") / "flux")
    return FAMILIES[request.param], request.getfixturevalue(request.param)


@pytest.mark.parametrize("method", METHODS)
def test_it_runs_on_every_family(family: tuple[Any, Path], method: str) -> None:
    kind, folder = family
    plan = tracelang.compile(RECIPE.format(method, METHODS[method]))
    bound = bind(plan, facts(kind, folder))
    edit = run(bound, kind.load(folder), cache=None)
    assert bool(edit.maps) == (method == "mace")
    assert set(edit.sites) == set(bound.sites)
    if method == "stereo":
        assert edit.figures["last"][0]["carried"] == 1 and plan.trained_against
        assert edit.trained and not edit.adapters and all(not site.text for site in edit.sites)
        return
    (adapter,) = edit.adapters
    assert adapter.targets == (("feline",),)
    assert any(float(change.up.norm()) > 0 for change in adapter.factors.values())
