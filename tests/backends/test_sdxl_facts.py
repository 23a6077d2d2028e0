"""What the SDXL backend says from configs alone agrees with diffusers, and what it cannot run it refuses."""

import json
import math
import re
import shutil
from collections import Counter

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from random_sdxl import PROJECTED, SCHEDULER, SDXL_UNET, TINY_SDXL_UNET, V_SCHEDULER, build

import tracelang
from tracelang.models.diffusion import clock
from tracelang.models.locate import family_of
from tracelang.models.weights import fingerprint
from tracelang.plan.family import ModelError
from tracelang.plan.layers import select
from tracelang.plan.types import ReadsSites
from tracelang_sd import StableDiffusionXL
from tracelang_sd.sites import POOLED, sites


def changed(base, folder, name, **values):
    """A copy in which a file of settings says something else."""
    if folder != base:
        shutil.copytree(base, folder)
    path = folder / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | values))
    return folder


@pytest.mark.parametrize("config", [TINY_SDXL_UNET, SDXL_UNET])
def test_sites_are_the_real_unets_matrices(config, tmp_path):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    pattern = re.compile(
        r"transformer_blocks\.\d+\.(attn[12]\.to_|ff\.net\.).*weight$|add_embedding\.linear_1\.weight$"
    )
    weights = {name: tuple(value.shape) for name, value in unet.named_parameters() if value.ndim > 1}
    real = {name: shape for name, shape in weights.items() if pattern.search(name)}
    everything = sites(dict(config), tmp_path, "sdxl")
    assert {site.tensor: site.stored for site in everything} == weights and len(everything) == len(weights)
    found = [site for site in everything if not site.outside]
    assert {site.tensor: site.shape for site in found} == real and len(found) == len(real)


def test_sdxl_has_700_matrices_and_the_pooled_one_of_which_140_read_the_tokens(tmp_path):
    found = [site for site in sites(dict(SDXL_UNET), tmp_path, "sdxl") if not site.outside]
    pooled = next(site for site in found if site.tensor == POOLED)
    assert len(found) == 701 and (pooled.shape, pooled.columns) == ((1280, 2816), (0, 1280))
    assert (pooled.role, pooled.reads, pooled.place, pooled.text) == ("pooled", "pooled", None, False)
    assert pooled.size == 1280 * 1280 and {site.columns for site in found} == {None, (0, 1280)}
    text = [site for site in found if site.text]
    assert Counter(site.role for site in text) == {"key": 70, "value": 70}
    assert Counter(site.place for site in text) == {"down": 48, "mid": 20, "up": 72}
    assert {(site.reads, site.shape[1]) for site in text} == {("tokens", 2048)}
    assert set(select(ReadsSites(reads="prompt"), found)) == {pooled, *text}
    assert all(site.size == math.prod(site.shape) for site in text)


def test_what_the_matrices_read_in_the_pipelines_own_calls(tiny_sdxl):
    """A matrix moves with the prompt and with nothing else where its site says so, and in these columns."""
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    found, read = [site for site in StableDiffusionXL().sites(tiny_sdxl) if not site.outside], {}
    for site in found:
        layer = pipe.unet.get_submodule(site.module)
        layer.register_forward_hook(lambda _, inputs, __, name=site.tensor: read[-1].__setitem__(name, inputs[0]))
    calls = [
        {"prompt": "a photo of a cat"},
        {"prompt": "a photo of a cat", "seed": 1, "original_size": (9, 700), "crops_coords_top_left": (5, 6)},
        {"prompt": "a red dog"},
    ]
    read = []
    for i, call in enumerate(calls):
        read.append({})
        told = {"num_inference_steps": 1 + i % 2, "guidance_scale": 1.0, "output_type": "latent", "generator": None}
        told["generator"] = torch.Generator().manual_seed(call.pop("seed", 0))
        pipe(**told, **call)
    first, other, prompt = read
    for site in found:
        before, same, moved = (one[site.tensor][..., site.part] for one in (first, other, prompt))
        assert before.equal(same) == (site.reads is not None), site.tensor
        assert not before.equal(moved)
    inside = next(site for site in found if site.tensor == POOLED)
    columns = (first[POOLED] != prompt[POOLED]).any(0)
    assert columns.nonzero()[:, 0].tolist() == list(range(PROJECTED)) and inside.columns == (0, PROJECTED)
    assert not first[POOLED].equal(other[POOLED])  # so of the whole matrix the input is mixed


def test_name_and_conditions(tiny_sdxl, tmp_path):
    family = family_of(tiny_sdxl)
    assert isinstance(family, StableDiffusionXL) and family.name(tiny_sdxl) == "sdxl"
    told = {"original_height": 16, "original_width": 16, "crop_top": 0, "crop_left": 0}
    told |= {"target_height": 16, "target_width": 16}
    assert family.conditions(tiny_sdxl) == {"guidance": 5.0, "unconditional_zeros": 1.0} | told
    folder = changed(tiny_sdxl, tmp_path / "wide", "unet/config.json", sample_size=[8, 16])
    folder = changed(folder, folder, "model_index.json", force_zeros_for_empty_prompt=False)
    folder = changed(folder, folder, "tracelang.json", guidance=1)
    assert family.conditions(folder) == {"guidance": 1.0, "unconditional_zeros": 0.0} | told | {
        "original_width": 32,
        "target_width": 32,
    }
    assert fingerprint(folder) != fingerprint(tiny_sdxl)


def test_supports_means_what_it_says(tiny, tiny_sdxl):
    wants = {
        name: tracelang.compile(f'recipe "r" {{ supports = {name} }} erase "cat" method uce')
        for name in ("sd1", "sdxl")
    }
    assert len(tracelang.bind(wants["sdxl"], tiny_sdxl).sites) == 16 + 1
    with pytest.raises(ModelError, match="this is a sdxl model; the recipe supports sd1"):
        tracelang.bind(wants["sd1"], tiny_sdxl)
    with pytest.raises(ModelError, match="this is a sd1 model; the recipe supports sdxl"):
        tracelang.bind(wants["sdxl"], tiny)


@pytest.mark.parametrize("config", [SCHEDULER, V_SCHEDULER, SCHEDULER | {"timestep_spacing": "trailing"}])
@pytest.mark.parametrize("steps", [1, 3, 4, 7, 30])
def test_the_clock_steps_as_euler_does(config, steps, tmp_path):
    real, ours = EulerDiscreteScheduler.from_config(config), clock(config, tmp_path)
    real.set_timesteps(steps)
    assert list(ours.times(steps)) == real.timesteps.tolist()
    for index in range(steps):
        for (signal, noise), σ in zip(ours.span(index, steps), real.sigmas[index : index + 2], strict=True):
            assert noise / signal == pytest.approx(float(σ), rel=2e-4)
    assert ours.span(steps - 1, steps)[1] == (1.0, 0.0)


FAULTS = {
    "a latent consistency model": ("unet/config.json", {"time_cond_proj_dim": 256}, "told guidance beside the time"),
    "x0": ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "is of the clean image"),
    "a flow": ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "a flow"),
    "EDM": ("scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "as EDM does"),
    "EDM's latents": ("vae/config.json", {"latents_mean": [0.1] * 4}, "latents_mean"),
    "inpainting": ("unet/config.json", {"in_channels": 9}, "inpainting is not supported"),
    "InstructPix2Pix": ("unet/config.json", {"in_channels": 8}, "a picture that it is told to change"),
    "the refiner": ("model_index.json", {"requires_aesthetics_score": True}, "SDXL's refiner"),
    "another refiner": ("model_index.json", {"_class_name": "StableDiffusionXLImg2ImgPipeline"}, "SDXL's refiner"),
    "no encoder": (
        "model_index.json",
        {"_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None]},
        "draw the concept again",
    ),
    "fills in": ("model_index.json", {"_class_name": "StableDiffusionXLInpaintPipeline"}, "inpainting"),
    "changes": ("model_index.json", {"_class_name": "StableDiffusionXLInstructPix2PixPipeline"}, "changes a picture"),
    "pictures for prompts": ("unet/config.json", {"addition_embed_type": "image"}, "no Stable Diffusion XL UNet"),
    "not XL": ("unet/config.json", {"addition_embed_type": None}, "no Stable Diffusion XL UNet"),
    "sizes alone": ("unet/config.json", {"projection_class_embeddings_input_dim": 48}, "none for the pooled state"),
    "no sizes": ("unet/config.json", {"addition_time_embed_dim": None}, "Stable Diffusion XL"),
    "another pooled state": ("text_encoder_2/config.json", {"projection_dim": 24}, "pooled state of width 20"),
    "other widths": ("text_encoder_2/config.json", {"hidden_size": 32}, "states of width 40"),
    "a lesser matrix": ("unet/config.json", {"projection_class_embeddings_input_dim": 67}, "width 19"),
    "guidance": ("tracelang.json", {"guidance": 0.0}, "0 would be the unconditional picture"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_run_is_refused_with_the_reason_in_one_line(fault, tiny_sdxl, tmp_path):
    name, values, words = FAULTS[fault]
    folder = changed(tiny_sdxl, tmp_path / "model", name, **values)
    with pytest.raises(ModelError) as caught:
        tracelang.bind(tracelang.compile('erase "cat"'), folder)
    assert words in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_tokenizers_of_two_vocabularies_are_refused(tiny_sdxl, tmp_path):
    folder = changed(tiny_sdxl, tmp_path / "model", "tracelang.json")
    path = folder / "tokenizer_2" / "tokenizer.json"
    table = json.loads(path.read_text())
    words = table["model"]["vocab"]
    words["cat</w>"], words["dog</w>"] = words["dog</w>"], words["cat</w>"]
    path.write_text(json.dumps(table))
    with pytest.raises(ModelError, match="different tokens"):
        StableDiffusionXL().text(folder)


def test_any_seed_and_dtype_is_built(tmp_path):
    folder = build(tmp_path / "half", seed=1, dtype=torch.bfloat16)
    StableDiffusionXL().check(folder)
    assert StableDiffusionXL().text(folder).dtype == torch.float32
