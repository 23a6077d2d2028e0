"""The methods that are closed forms, on every family: compiled, planned and applied, with what each promises."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import tracelang
from tracelang.checkpoint.merge import stored
from tracelang.engine.predicted import predicted

METHODS = ("speed", "dp", "rece", "oce")
EMBEDDED = ("micro-sd", "micro-flux")
RECIPE = """
templates object = "a picture of a {}", "a drawing of a {}"
concept cat { names "cat" }
concept dog { names "dog" }
concept house { names "house" }
erase cat toward dog
preserve house, "horse", "ship", "truck", "ghost"
"""
LOOSE = {"speed": "", "dp": "project.threshold = 0.3  project.least_angle = 0", "rece": "", "oce": "rotate.prior = 0"}
"""Where weights and words are random there is little to tell concepts apart by, and hardly a whole word."""


def applied(method: str, model: str | Path, changes: str = "") -> tracelang.Applied:
    plan = tracelang.compile(f"{RECIPE} method {method} {{ {changes} }}")
    return tracelang.apply(tracelang.bind(plan, model), device="cpu")


def relative(edit: Any, site: Any, W: torch.Tensor) -> float:
    return float((edit.patched(site, W) - W).norm() / W.norm())


@pytest.mark.parametrize("model", EMBEDDED)
@pytest.mark.parametrize("method", METHODS)
def test_each_changes_what_it_says_on_the_embedded_models(method: str, model: str) -> None:
    made = applied(method, model)
    edit, sites = made.edit, made.bound.sites
    assert set(edit.sites) == set(sites)
    keys = {site for site in sites if site.role == "key"}
    assert bool(keys) == (model == "micro-sd" and method in ("dp", "rece"))
    weight = partial(stored, made.bound.folder)
    for site in sites:
        W = weight(site).double()
        assert 0.01 < relative(edit, site, W) < 20
        if method == "oce":
            new = edit.patched(site, W)
            assert (new.T @ new - W.T @ W).norm() < 1e-9 * (W.T @ W).norm()
    foreseen = predicted(made.bound.on_model, made.text, weight)
    assert foreseen.collateral["erased"]["cat"] > foreseen.collateral["preserved"]["house"]
    assert bool(foreseen.free) == (method in ("speed", "dp")) and bool(foreseen.turned) == (method == "oce")


@pytest.mark.parametrize("base", ["tiny", "tiny_sd2", "tiny_sdxl", "tiny_flux"])
@pytest.mark.parametrize("method", METHODS)
def test_each_runs_on_every_family(method: str, base: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(base)
    made = applied(method, folder, LOOSE[method])
    assert set(made.edit.sites) == set(made.bound.sites)
    for site in made.bound.sites:
        W = stored(folder, site).double()
        new = made.edit.patched(site, W)
        assert new.isfinite().all()
        beside = torch.ones(W.shape[1], dtype=torch.bool)
        beside[site.part] = False
        assert torch.equal(new[:, beside], W[:, beside])
