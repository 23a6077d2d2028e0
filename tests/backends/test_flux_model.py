"""A loaded model does what a plain FluxPipeline does, and knows where its words are."""

import json
import shutil

import pytest
import torch
from diffusers import FluxPipeline
from peft import LoraConfig
from random_flux import LENGTH, build

from tracelang.plan.family import ModelError
from tracelang.plan.prompts import EMPTY, Prompt
from tracelang_flux import Flux

PROMPTS = ["a photo of a cat", "an dog on a red ship"]
STEPS, SEEDS = 7, [3, 4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture(scope="module")
def schnell(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "schnell", layout="schnell", seed=1)


@pytest.fixture(scope="module")
def model(folder):
    return Flux().load(folder)


def plain(folder, prompts=PROMPTS, seeds=SEEDS, dtype=torch.float32, **settings):
    """What a user gets."""
    pipe = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipe(
        list(prompts), height=16, width=16, num_inference_steps=STEPS, generator=generators,
        max_sequence_length=LENGTH, output_type="pt", **settings,
    ).images.float()  # fmt: skip


@torch.no_grad()
def ours(model, prompts=PROMPTS, seeds=SEEDS):
    states, latents = model.encode(prompts), model.noise(seeds)
    for index, time in enumerate(model.clock.times(STEPS)):
        latents = model.step(model.predict(latents, torch.full((len(seeds),), time), states), index, STEPS, latents)
    return model.decode(latents)


@pytest.mark.parametrize("layout", ["folder", "schnell"])
def test_sampling_equals_a_plain_pipeline(layout, request):
    path = request.getfixturevalue(layout)
    expected, found = plain(path), ours(Flux().load(path))
    assert expected.std() > 0.05
    assert (found - expected).abs().max() < 2e-5


def test_the_embedded_guidance_is_what_the_folder_says(folder, tmp_path, schnell):
    other = tmp_path / "model"
    shutil.copytree(folder, other)
    (other / "tracelang.json").write_text('{"guidance": 1.5}')
    model = Flux().load(other)
    assert (model.guidance, model.settings.guidance) == (1.0, 1.5)
    assert Flux().load(folder).settings.guidance == 3.5 and Flux().load(schnell).settings.guidance is None
    told = plain(folder, guidance_scale=1.5)
    assert (ours(model) - told).abs().max() < 2e-5
    assert (plain(folder) - told).abs().max() > 1e-4
