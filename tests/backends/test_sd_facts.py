"""What the SD backend says from configs alone agrees with diffusers."""

import json
import math
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from random_sd import MICRO_UNET, SCHEDULER, SD14_UNET, TINY_UNET

from tracelang.models.diffusion import clock
from tracelang.plan.family import ModelError
from tracelang.plan.layers import select
from tracelang.plan.types import ReadsSites
from tracelang_sd import StableDiffusion
from tracelang_sd.sites import sites

SD2_UNET = SD14_UNET | {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
DEEP_UNET = TINY_UNET | {"transformer_layers_per_block": [1, 2], "layers_per_block": [1, 3]}


@pytest.mark.parametrize("config", [TINY_UNET, MICRO_UNET, SD14_UNET, SD2_UNET, DEEP_UNET])
def test_sites_are_the_transformers_matrices_of_the_real_unet(config, tmp_path):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    pattern = re.compile(r"transformer_blocks\.\d+\.(attn[12]\.to_|ff\.net\.).*weight$")
    weights = {name: tuple(p.shape) for name, p in unet.named_parameters() if p.ndim > 1}
    real = {name: shape for name, shape in weights.items() if pattern.search(name)}
    everything = sites(dict(config), tmp_path, "sd1")
    assert {site.tensor: site.stored for site in everything} == weights and len(everything) == len(weights)
    found = [site for site in everything if not site.outside]
    assert {site.tensor: site.shape for site in found} == real
    assert len(found) == len(real)
    for site in found:
        reads = ".attn2.to_k." in site.tensor or ".attn2.to_v." in site.tensor
        assert (site.reads == "tokens") == site.text == reads
        assert site.place == site.tensor.split("_")[0]
        assert (site in select(ReadsSites(reads="cross"), everything)) == (".attn2." in site.tensor)
        assert unet.get_submodule(site.module).weight.shape == site.shape


@pytest.mark.parametrize(("config", "name"), [(SD14_UNET, "sd1"), (SD2_UNET, "sd2"), (TINY_UNET, "sd1")])
def test_the_name_is_told_by_the_width_of_the_states(config, name, tmp_path):
    (tmp_path / "unet").mkdir()
    told = {"_class_name": "UNet2DConditionModel"} | config
    (tmp_path / "unet" / "config.json").write_text(json.dumps(told))
    assert StableDiffusion().name(tmp_path) == name and name in StableDiffusion().names


def test_sd14_has_32_key_and_value_matrices(tmp_path):
    found = sites(dict(SD14_UNET), tmp_path, "sd1")
    assert sum(site.size for site in found) == 859_077_120 and len(found) == 282
    text = [site for site in found if site.text]
    assert Counter(site.role for site in text) == {"key": 16, "value": 16}
    assert Counter(site.place for site in text) == {"down": 12, "mid": 2, "up": 18}
    assert {site.shape[1] for site in text} == {768}
    assert sum(math.prod(site.shape) for site in text) == 19_169_280


@pytest.mark.parametrize(
    "change",
    [
        {"addition_embed_type": "text_time"},
        {"down_block_types": ["AttnDownBlock2D", "DownBlock2D"]},
        {"layers_per_block": [1]},
        {"cross_attention_dim": None},
        {"up_block_types": ["UpBlock2D"]},
        {"layers_per_block": 10**9},
        {"transformer_layers_per_block": 10**9},
    ],
)
def test_a_foreign_unet_is_refused_in_one_line(change, tmp_path):
    with pytest.raises(ModelError) as caught:
        sites(dict(TINY_UNET) | change, tmp_path / "config.json", "sd1")
    assert "\n" not in str(caught.value) and "config.json" in str(caught.value)


CONFIGS = [
    SCHEDULER,
    SCHEDULER | {"timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    SCHEDULER | {"timestep_spacing": "linspace", "steps_offset": 0, "set_alpha_to_one": True},
    SCHEDULER | {"beta_schedule": "linear", "num_train_timesteps": 400},
    {"beta_schedule": "squaredcos_cap_v2"},
    SCHEDULER | {"trained_betas": [0.01 + 0.001 * i for i in range(50)], "num_train_timesteps": 50},
    SCHEDULER | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_clock_visits_what_diffusers_visits(config, tmp_path):
    real, ours = DDIMScheduler.from_config(config), clock(config, tmp_path)
    total = real.config.num_train_timesteps
    assert torch.tensor(ours.alphas) == pytest.approx(real.alphas_cumprod.numpy(), rel=2e-4, abs=1e-7)
    compared = 0
    for steps in range(1, total + 1):
        real.set_timesteps(steps)
        times, visited = ours.times(steps), real.timesteps.tolist()
        assert len(times) == steps and min(times) >= 0 and max(times) < total
        if len(visited) == steps and max(visited) < total:  # not so for a few: diffusers leaves the schedule there
            assert list(times) == visited, steps
            compared += 1
    assert compared > 0.9 * total
    with pytest.raises(ModelError):
        ours.times(total + 1)


@pytest.mark.parametrize("config", CONFIGS)
def test_progress_time_and_logsnr_are_one_order(config, tmp_path):
    ours = clock(config, tmp_path)
    total = len(ours.alphas)
    assert (ours.time(0), ours.time(1)) == (total - 1, 0)
    grid = [ours.logsnr(ours.time(i / 200)) for i in range(201)]
    assert all(a < b for a, b in pairwise(grid)) and all(map(math.isfinite, grid))
    for i in range(201):
        assert ours.time_at(grid[i]) == pytest.approx(ours.time(i / 200), abs=1e-6)
    assert (ours.time_at(-1e9), ours.time_at(1e9)) == (total - 1, 0)
    assert (ours.logsnr(-5), ours.logsnr(1e6)) == (grid[-1], grid[0])


def test_the_velocity_moves_with_the_noise_as_diffusers_has_it(tmp_path):
    real, ours = DDIMScheduler.from_config(SCHEDULER), clock(SCHEDULER, tmp_path)
    for t in (999, 860, 500, 140, 0):
        signal, noise = (float(part**0.5) for part in (real.alphas_cumprod[t], 1 - real.alphas_cumprod[t]))
        moved = []
        for guess in (torch.zeros(1, 1), torch.ones(1, 1)):  # of the noise in the same latents, 0.5
            moved.append(float(real.get_velocity((0.5 - noise * guess) / signal, guess, torch.tensor([t]))))
        assert ours.velocity(t) == pytest.approx(moved[1] - moved[0], rel=1e-3)
    assert clock(SCHEDULER | {"prediction_type": "v_prediction"}, tmp_path).velocity(999) == 1
    assert clock(SCHEDULER | {"rescale_betas_zero_snr": True}, tmp_path).velocity(999) == 32


def test_logsnr_of_sd14_is_the_published_one(tmp_path):
    ours = clock(SCHEDULER, tmp_path)
    for t, alpha in {999: 0.0047, 860: 0.0212, 500: 0.276, 140: 0.842}.items():  # docs/methods.md §1.2
        assert ours.logsnr(t) == pytest.approx(math.log(alpha / (1 - alpha)), abs=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"beta_schedule": "karras"},
        {"prediction_type": "sample"},
        {"timestep_spacing": "even"},
        {"beta_end": "x"},
        {"num_train_timesteps": 0},
        {"beta_start": 0.0, "beta_end": 0.0},
        {"trained_betas": [2.0, 3.0]},
    ],
)
def test_a_foreign_schedule_is_refused_in_one_line(change, tmp_path):
    with pytest.raises(ModelError) as caught:
        clock(SCHEDULER | change, tmp_path / "scheduler_config.json")
    assert "\n" not in str(caught.value) and "scheduler_config.json" in str(caught.value)


def test_facts_need_no_torch(tiny):
    code = (
        "import sys; from pathlib import Path; from tracelang_sd import StableDiffusion as S; f = Path(sys.argv[1]);"
        "s = S(); assert s.claims(f); s.check(f); s.sites(f); s.clock(f);"
        "assert not {'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny)], check=True)


def test_claims_looks_at_the_index_alone(tiny, tmp_path):
    assert StableDiffusion().claims(tiny)
    assert not StableDiffusion().claims(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert not StableDiffusion().claims(tmp_path)
    (tmp_path / "model_index.json").write_bytes(b"\xff\xfe[")
    assert not StableDiffusion().claims(tmp_path)
