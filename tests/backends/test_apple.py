"""Both backends on a device that has no float64, as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import random_flux
import random_sd
import torch

from tests.engine.apple import DEVICE, gpu
from tests.engine.plans import erasure, plan, refine, run
from tracelang.models.family import Family
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion

EDIT = plan((erasure("cat", anchor=("dog",)),), refine(), preserve={"horse": 1.0})


@pytest.mark.parametrize(("family", "build"), [(StableDiffusion(), random_sd.build), (Flux(), random_flux.build)])
def test_a_backend_runs_there(family: Family, build: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = build(tmp_path / "tiny")
    here = family.load(folder, "cpu")
    prompts, times = ["a cat", ""], torch.tensor([500.0, 100.0])
    with gpu():
        model = family.load(folder, "mps")
        edit = run(EDIT, model, cache=None)
        edit.to(model)
        x = model.noise([1, 2])
        noisy, _ = model.diffuse(x, x, times.to(DEVICE))
        moved = model.predict(noisy, times.to(DEVICE), model.encode(prompts)).cpu()
        picture = model.decode(model.step(model.predict(x, times.to(DEVICE), model.encode(prompts)), 0, 4, x))
    run(EDIT, here, cache=None).to(here)
    noisy, _ = here.diffuse(here.noise([1, 2]), here.noise([1, 2]), times)
    assert torch.allclose(moved, here.predict(noisy, times, here.encode(prompts)), atol=1e-4)
    assert picture.device.type == "cpu"
