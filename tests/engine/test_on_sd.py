"""The engine on a real Stable Diffusion layout: a tiny random checkpoint, a whole method, a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from tests import random_sd
from tests.engine.plans import EARLY, LATE, erasure, fuse, plan, refine, run, steer, term
from tracelang.checkpoint.merge import merged
from tracelang.engine.edit import Edit, applied
from tracelang.engine.errors import EngineError
from tracelang.models.protocol import Model
from tracelang_sd import StableDiffusion

TRACE = plan(
    (erasure("cat"), erasure("ship", anchor=("truck",), degree=0.5)),
    refine(),
    steer(steps=6, terms=(term("push", LATE), term("hold", EARLY, 0.5), term("blank"), term("keep", weight=3.0))),
    fuse(),
    preserve={"dog": 1.0},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_sd.build(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return StableDiffusion().load(folder)


@pytest.fixture(scope="module")
def edit(model: Model) -> Iterator[Edit]:
    before = {name: tensor.clone() for name, tensor in model.denoiser.state_dict().items()}
    yield run(TRACE, model, cache=None)
    after = model.denoiser.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_a_whole_method_changes_the_keys_and_values_and_nothing_else(model: Model, edit: Edit) -> None:
    assert {site.role for site in edit.sites} == {"key", "value"}
    assert len(set(map(id, edit.maps.values()))) == 1
    deltas = edit.deltas(model)
    for site, delta in deltas.items():
        assert delta.rank > 0
        patched = edit.patched(site, model.weight(site).detach())
        assert torch.allclose(model.weight(site).detach().double() + delta.dense(), patched.double(), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_loaded_model_and_a_written_checkpoint_agree_to_the_last_place(
    model: Model, edit: Edit, dtype: torch.dtype
) -> None:
    for site in edit.sites:
        W = model.weight(site).detach().to(dtype)
        patched, written = edit.patched(site, W), merged(W, edit.delta(site, W))
        assert patched.dtype == written.dtype == dtype and not torch.equal(patched, W)
        size = written.abs().double().clamp_min(2.0**-14)
        size = size.amax() if dtype == torch.float32 else size
        ulp = torch.finfo(dtype).eps * 2 ** size.log2().floor()
        assert ((patched.double() - written.double()).abs() <= ulp).all()


def test_the_edited_model_and_the_edited_pipeline_predict_the_same(folder: Path, model: Model, edit: Edit) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None)
    x, states, t = model.noise([0]), model.encode(["a photo of cat"]), torch.tensor([500.0])

    def predicted() -> torch.Tensor:
        with torch.no_grad():
            return pipe.unet(x, t, states.inputs["tokens"]).sample

    frozen = predicted()
    patch = edit.to(pipe)
    with applied(model, edit) as edited, torch.no_grad():
        assert torch.allclose(predicted(), edited.predict(x, t, states), atol=1e-5)
    assert (predicted() - frozen).abs().max() > 1e-4
    patch.undo()
    assert torch.equal(predicted(), frozen)


def test_nothing_is_trained_in_float16(folder: Path) -> None:
    half = StableDiffusion().load(folder, dtype="float16")
    with pytest.raises(EngineError, match="float16's range; choose float32 or bfloat16"):
        run(TRACE, half, cache=None)


def test_a_gate_works_on_attention_layers(model: Model) -> None:
    gated = run(plan((erasure("cat"),), steer(steps=4, gate=LATE, rate=0.1)), model, cache=None)
    x, states = model.noise([0, 1]), model.encode(["a photo of cat"] * 2)
    times = torch.tensor([model.clock.time(0.02), model.clock.time(0.9)])
    with torch.no_grad():
        frozen = model.predict(x, times, states)
        with applied(model, gated) as edited:
            change = (edited.predict(x, times, states) - frozen).flatten(1).norm(dim=1)
    assert change[0] < 0.05 * change[1]
