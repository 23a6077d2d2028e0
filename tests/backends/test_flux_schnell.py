"""FLUX.1 schnell: no guidance is told, T5 gives 256 rows, and steps are evenly spaced; as its plain pipeline has it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from random_flux import SCHEDULER, build

from tracelang.engine.sampling import sample_latents
from tracelang.plan.family import ModelError
from tracelang_flux import Flux

PROMPTS = ["a photo of a cat", "an dog on a red ship"]


def long(folder, layout):
    """With T5's tokenizer as long as the published ones."""
    made = build(folder / layout, layout=layout)
    path = made / "tokenizer_2/tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 512}))
    return made


@pytest.fixture(scope="module")
def schnell(tmp_path_factory) -> Path:
    return long(tmp_path_factory.mktemp("flux"), "schnell")


@pytest.fixture(scope="module")
def dev(tmp_path_factory) -> Path:
    return long(tmp_path_factory.mktemp("flux"), "dev")


def test_rows_guidance_and_steps(schnell, dev):
    quick, other = Flux().load(schnell), Flux().load(dev)
    assert (quick.conditions["tokens"], other.conditions["tokens"]) == (256, 512)
    assert "embedded_guidance" not in quick.conditions and other.conditions["embedded_guidance"] == 3.5
    assert quick.clock.times(4) == (1.0, 0.75, 0.5, 0.25) != other.clock.times(4)
    assert quick.encode(PROMPTS).inputs["tokens"].shape == (2, 256, 24)


@pytest.mark.parametrize("layout", ["schnell", "dev"])
def test_states_and_latents_are_the_pipelines(layout, request):
    folder = request.getfixturevalue(layout)
    model, pipe = Flux().load(folder), FluxPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    rows = int(model.conditions["tokens"])
    for prompt in (*PROMPTS, ""):
        with torch.no_grad():
            tokens, pooled, _ = pipe.encode_prompt(prompt, None, device="cpu", max_sequence_length=rows)
        found = model.encode([prompt]).inputs
        assert found["tokens"].equal(tokens) and found["pooled"][:, 0].equal(pooled)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    told = {"num_inference_steps": 4, "max_sequence_length": rows, "height": 16, "width": 16, "output_type": "latent"}
    expected = pipe(PROMPTS, generator=generators, **told).images
    found = sample_latents(model, model.encode(PROMPTS), [3, 4], steps=4)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_rows_and_shift_matter(schnell, tmp_path):
    """Controls: another length, or dev's schedule, draws another picture."""
    model = Flux().load(schnell)
    expected = sample_latents(model, model.encode(PROMPTS), [3, 4], steps=4)
    other = shutil.copytree(schnell, tmp_path / "model")
    (other / "tracelang.json").write_text('{"tokens": 512}')
    longer = Flux().load(other)
    assert (sample_latents(longer, longer.encode(PROMPTS), [3, 4], steps=4) - expected).abs().max() > 1e-4
    (other / "tracelang.json").unlink()
    (other / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    shifted = Flux().load(other)
    assert (sample_latents(shifted, shifted.encode(PROMPTS), [3, 4], steps=4) - expected).abs().max() > 1e-3


def test_weights_that_embed_guidance_under_a_config_of_schnell_are_refused(dev, tmp_path):
    other = shutil.copytree(dev, tmp_path / "model")
    path = other / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"guidance_embeds": False}))
    with pytest.raises(ModelError, match="the config says that guidance is not embedded"):
        Flux().check(other)
