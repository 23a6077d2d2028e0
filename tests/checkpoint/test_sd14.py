"""The whole way at Stable Diffusion 1.4's exact shapes: 2 GB of random halves with the file layout of the original."""

import json
from pathlib import Path

import pytest
import torch
from random_sd import build
from safetensors import safe_open

from tracelang.checkpoint.save import save
from tracelang.engine.low_rank import LowRank
from tracelang.models import header
from tracelang.plan.prompts import Prompt

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def sd14(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("sd14") / "model", config="sd14")


@pytest.mark.slow
def test_its_key_and_value_matrices_are_edited_and_nothing_else(sd14, family, plan, tmp_path):
    assert family.claims(sd14)
    family.check(sd14)
    text = [site for site in family.sites(sd14) if site.reads == "tokens"]
    assert len(text) == 32 and len(header.read(sd14 / UNET).tensors) == 686
    generator = torch.Generator().manual_seed(0)
    down = torch.randn(10, 768, generator=generator, dtype=torch.float64) / 30
    deltas = {
        site: LowRank(torch.randn(site.shape[0], 10, generator=generator, dtype=torch.float64) / 30, down)
        for site in text
    }
    save(tmp_path / "out", sd14, family, deltas, plan, {"cats.erase": b'erase "cat"\n'})
    table = json.loads((tmp_path / "out/manifest.json").read_text())["model"]["tensors"][UNET]
    assert {name for name, row in table.items() if row["before"] != row["after"]} == {site.tensor for site in text}
    with safe_open(sd14 / UNET, "pt") as old, safe_open(tmp_path / "out/model" / UNET, "pt") as new:
        for site, delta in deltas.items():
            expected = (old.get_tensor(site.tensor).double() + delta.up @ delta.down).half()
            assert new.get_tensor(site.tensor).equal(expected)
    assert (tmp_path / "out/lora.safetensors").stat().st_size < 1_500_000
    family.check(tmp_path / "out/model")


@pytest.mark.slow
def test_it_encodes_and_predicts(sd14, family):
    model = family.load(sd14)
    assert model.dtype == torch.float32 and model.guidance == 7.5 and len(model.clock.times(50)) == 50
    states = model.encode(["a photo of a cat", ""])
    assert states.inputs["tokens"].shape == (2, 77, 768)
    layout = model.layout(Prompt("a photo of a cat", "cat"))
    assert (layout.phrase, layout.end, layout.length) == ((5,), 6, 77)
    assert model.noise([0]).shape == (1, 4, 64, 64)
    with torch.no_grad():
        small = model.noise([0, 1])[:, :, :8, :8]
        prediction = model.predict(small, torch.tensor([981.0, 1.0]), states)
    assert prediction.shape == small.shape and prediction.isfinite().all()
