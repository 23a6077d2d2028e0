"""What the FLUX backend says from configs alone agrees with diffusers."""

import json
import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from random_flux import DEV_TRANSFORMER, SCHEDULER, SCHNELL_SCHEDULER, TINY_TRANSFORMER, build, dev_configs
from random_sd import SCHEDULER as SD_SCHEDULER

import tracelang
from tests.engine.plans import EARLY, LATE
from tracelang.cli import main
from tracelang.models.diffusion import clock as sd_clock
from tracelang.models.flow import clock
from tracelang.models.locate import family_of
from tracelang.plan.family import ModelError
from tracelang.plan.layers import SelectionError, select
from tracelang.plan.types import GlobSites, InPlaces, ReadsSites, RoleSites, Window
from tracelang.plan.windows import WindowError, in_logsnr
from tracelang_flux import Flux
from tracelang_flux.sites import sites
from tracelang_sd import StableDiffusion


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture(scope="module")
def schnell(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "schnell", layout="schnell")


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    return dev_configs(tmp_path_factory.mktemp("flux") / "FLUX.1-dev")


@pytest.mark.parametrize("config", [TINY_TRANSFORMER, DEV_TRANSFORMER, TINY_TRANSFORMER | {"guidance_embeds": True}])
def test_sites_are_linear_layers_of_that_shape_with_a_bias(config, tmp_path):
    with torch.device("meta"):
        real = FluxTransformer2DModel(**{key: value for key, value in config.items() if key[0] != "_"})
    found = sites(config, tmp_path)
    assert len({site.tensor for site in found}) == len(found)
    for site in found:
        layer = real.get_submodule(site.module)
        assert isinstance(layer, torch.nn.Linear) and tuple(layer.weight.shape) == site.shape
        assert layer.bias is not None
    linear = {name for name, layer in real.named_modules() if isinstance(layer, torch.nn.Linear)}
    assert linear - {site.module for site in found} == {"norm_out.linear"}  # in single files with halves swapped


def test_the_sites_are_all_of_attention_and_feed_forward():
    """Of all linear layers there remain embedders, what modulates, and the last one."""
    with torch.device("meta"):
        real = FluxTransformer2DModel(**{key: value for key, value in TINY_TRANSFORMER.items() if key[0] != "_"})
    inside = {name for name, layer in real.named_modules() if isinstance(layer, torch.nn.Linear) and "blocks" in name}
    all_ = sites(TINY_TRANSFORMER, Path("config.json"))
    found = {site.module for site in all_ if site.place is not None and not site.outside}
    assert {name for name in inside - found if ".norm" not in name} == set() and found <= inside


def test_flux_dev_has_these_sites_and_they_are_known_without_weights(dev):
    found = Flux().sites(dev)
    assert Counter((site.role, site.place, site.reads, site.text) for site in found) == {
        ("text_in", None, "tokens", False): 1,
        ("pooled", None, "pooled", False): 1,
        **{(role, "double", None, True): 19 for role in ("query", "key", "value")},
        **{(role, "double", None, False): 19 for role in ("query", "key", "value")},
        ("out", "double", None, False): 2 * 19,
        ("feedforward", "double", None, False): 4 * 19,
        **{(role, "single", None, False): 38 for role in ("query", "key", "value", "out", "feedforward")},
        ("projection", None, None, False): 2,
        ("embedding", None, None, False): 5,
        ("modulation", "double", None, False): 2 * 19,
        ("modulation", "single", None, False): 38,
    }
    shapes = {site.module: site.shape for site in found}
    assert shapes["context_embedder"] == (3072, 4096)
    assert shapes["time_text_embed.text_embedder.linear_1"] == (3072, 768)
    assert shapes["single_transformer_blocks.37.attn.to_v"] == (3072, 3072)
    assert shapes["single_transformer_blocks.37.proj_out"] == (3072, 5 * 3072)
    assert shapes["transformer_blocks.18.ff_context.net.2"] == (3072, 4 * 3072)


def test_selectors_choose_what_the_language_says(dev):
    found = Flux().sites(dev)
    names = [site.module.split(".")[-1] for site in select(ReadsSites(reads="prompt"), found)]
    assert sorted(names) == ["context_embedder", "linear_1"]
    streams = {site.module.split(".")[-1] for site in select(ReadsSites(reads="text"), found)}
    assert streams == {"add_q_proj", "add_k_proj", "add_v_proj"}
    value = RoleSites(role="value")
    assert len(select(value, found)) == 76 and len(select(InPlaces(of=value, places=("single",)), found)) == 38
    inside = {site for site in found if not site.outside}
    assert inside - set(select(ReadsSites(reads="denoiser"), found)) == set(select(ReadsSites(reads="prompt"), found))
    cross = {site.module.split(".")[-1] for site in select(ReadsSites(reads="cross"), found)}
    assert cross == streams | {"to_add_out"} and select(ReadsSites(reads="everything"), found) == found
    with pytest.raises(SelectionError, match="double, single"):
        select(InPlaces(of=value, places=("mid",)), found)
    with pytest.raises(SelectionError, match="no block"):
        select(InPlaces(of=GlobSites(pattern="context_embedder"), places=("double",)), found)


def test_a_site_reads_prompt_states_alone_exactly_where_it_says_so(folder):
    model = Flux().load(folder)
    read: dict[str, list[torch.Tensor]] = {}
    inside = [site for site in model.sites if not site.outside]
    for site in inside:
        layer = model.denoiser.get_submodule(site.module)
        seen = read.setdefault(site.tensor, [])
        layer.register_forward_hook(lambda module, inputs, _, seen=seen: seen.append(*inputs))
    states = model.encode(["a photo of a cat"])
    for seed, time in ((0, 0.9), (1, 0.9), (0, 0.2)):
        model.predict(model.noise([seed]), torch.tensor([time]), states)
    for site in inside:
        first, *others = read[site.tensor]
        if site.reads is not None:
            rows = states.inputs[site.reads]
            assert first.equal(rows[:, 0] if site.reads == "pooled" else rows)
        assert any(not first.equal(other) for other in others) == (site.reads is None), site.tensor


@pytest.mark.parametrize(
    "change",
    [
        {"num_layers": "many"},
        {"joint_attention_dim": 0},
        {"num_single_layers": -1},
        {"in_channels": None},
    ],
)
def test_a_foreign_transformer_is_refused_in_one_line(change, tmp_path):
    with pytest.raises(ModelError) as caught:
        sites(TINY_TRANSFORMER | change, tmp_path / "config.json")
    assert "\n" not in str(caught.value) and "config.json" in str(caught.value)


CONFIGS = [
    (SCHEDULER, 4096),
    (SCHEDULER, 1024),
    (SCHEDULER, 64),
    (SCHEDULER, 16),
    (SCHNELL_SCHEDULER, 4096),
    (SCHNELL_SCHEDULER | {"shift": 3.0}, 64),
    (SCHEDULER | {"time_shift_type": "linear"}, 4096),
    (SCHEDULER | {"base_shift": 0.3, "max_shift": 0.9, "max_image_seq_len": 1024}, 777),
    ({}, 4096),
]


@pytest.mark.parametrize(("config", "tokens"), CONFIGS)
def test_the_clock_visits_what_the_pipeline_visits(config, tokens, tmp_path):
    real, ours = FlowMatchEulerDiscreteScheduler.from_config(config), clock(config, tmp_path, tokens)
    said = real.config
    lengths = said.base_image_seq_len, said.max_image_seq_len
    mu = calculate_shift(tokens, *lengths, said.base_shift, said.max_shift)
    for steps in [*range(1, 129), 500, 1000]:
        real.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
        assert ours.times(steps) == tuple(real.sigmas.tolist()[:-1]), steps
    for steps in (0, 1001):
        with pytest.raises(ModelError):
            ours.times(steps)


@pytest.mark.parametrize(("config", "tokens"), CONFIGS)
def test_progress_time_and_logsnr_are_one_order(config, tokens, tmp_path):
    ours = clock(config, tmp_path, tokens)
    assert (ours.unit, ours.time(0), ours.time(1)) == ("sigma", 1, 0)
    grid = [ours.logsnr(ours.time(i / 200)) for i in range(201)]
    assert all(a < b for a, b in pairwise(grid)) and all(map(math.isfinite, grid))
    for i in range(201):
        assert ours.time_at(grid[i]) == pytest.approx(ours.time(i / 200), abs=1e-9)
    assert (ours.time_at(-1e9), ours.time_at(1e9), ours.velocity(1), ours.velocity(0)) == (1, 0, 1, 1)
    steps = 28
    for i, sigma in enumerate(ours.times(steps)):  # progress is the fraction of the sampler's steps
        assert ours.time(i * (1 - 1 / steps) / (steps - 1)) == pytest.approx(sigma, abs=1e-6)


def test_the_schedule_is_the_published_one(tmp_path):
    after = (0, 2, 4, 6, 8, 11, 14, 18, 22, 27)  # docs/methods.md §1.2, 28 steps
    for tokens, sigmas in {
        1024: (1, 0.961, 0.918, 0.873, 0.824, 0.744, 0.652, 0.511, 0.339, 0.065),
        4096: (1, 0.976, 0.95, 0.921, 0.888, 0.83, 0.76, 0.637, 0.463, 0.105),
    }.items():
        times = clock(SCHEDULER, tmp_path, tokens).times(28)
        assert [times[i] for i in after] == pytest.approx(sigmas, abs=1e-3)


def test_equal_noise_is_equal_logsnr_on_both_families(tmp_path):
    flow, diffusion = clock(SCHEDULER, tmp_path, 4096), sd_clock(SD_SCHEDULER, tmp_path)
    for t, sigma in {960: 0.921, 860: 0.872, 700: 0.769, 500: 0.618, 300: 0.454, 140: 0.302}.items():
        assert flow.time_at(diffusion.logsnr(t)) == pytest.approx(sigma, abs=2e-3)  # docs/methods.md §1.2
    same = Window(unit="logsnr", low=-3.0, high=1.5)
    assert in_logsnr(same, flow) == in_logsnr(same, diffusion)
    in_sigma = in_logsnr(Window(unit="sigma", low=0.2, high=0.9), flow)
    assert (flow.time_at(in_sigma.low), flow.time_at(in_sigma.high)) == pytest.approx((0.9, 0.2))
    with pytest.raises(WindowError, match="σ"):
        in_logsnr(Window(unit="t", low=200, high=400), flow)


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("recipe", [*RECIPES.glob("*.erase"), *RECIPES.glob("micro/[!w]*.erase")], ids=lambda p: p.stem)
def test_one_recipe_binds_to_every_layout(recipe, folder, schnell, tiny, monkeypatch):
    monkeypatch.chdir(RECIPES.parent)
    found = tracelang.compile(recipe)
    bound = [tracelang.bind(found, base) for base in (folder, schnell, tiny)]
    assert [one.family.name(one.folder) for one in bound] == ["flux", "flux", "sd1"]
    assert all(one.sites for one in bound) and len({one.plan.digest for one in bound}) == 1


def test_plan_prints_every_window_in_progress_and_in_log_snr(folder, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = "steer.push.during = logsnr -3..1.5  steer.hold.during = 0%..20%"
    (tmp_path / "r.erase").write_text(f'erase "cat" toward "ship" preserve "dog" method trace {{ {settings} }}')
    shown = []
    for base, family in ((folder, Flux()), (tiny, StableDiffusion())):
        words = ["plan", "r.erase", "--model", str(base), "--config-only"]
        result = CliRunner().invoke(main, [*words, "--json"])
        assert result.exit_code == 0, result.output
        windows = {w["label"]: w for step in json.loads(result.stdout)["passes"] for w in step["windows"]}
        push, hold, ours = windows["push"], windows["hold"], family.clock(base)
        assert push["logsnr"] == [-3, 1.5] and hold["progress"] == [0, 0.2]
        assert hold["logsnr"] == [None, pytest.approx(ours.logsnr(ours.time(0.2)))]
        assert [ours.logsnr(ours.time(part)) for part in push["progress"]] == pytest.approx([-3, 1.5], abs=0.02)
        text = CliRunner().invoke(main, words).stdout
        assert "progress 0%..20%  log-SNR -inf.." in text and "log-SNR -3.00..1.50" in text
        shown.append(push["progress"])
    assert shown[0] != shown[1]  # the same noise, elsewhere along another schedule


def test_windows_in_progress_follow_the_shifted_schedule_and_part_the_steps(tmp_path):
    for tokens in (64, 4096):
        ours = clock(SCHEDULER, tmp_path, tokens)
        early, late = in_logsnr(EARLY, ours), in_logsnr(LATE, ours)
        inside = [(ours.logsnr(time) in early, ours.logsnr(time) in late) for time in ours.times(28)]
        assert inside == [(True, False)] * 7 + [(False, True)] * 21


@pytest.mark.parametrize(
    "change",
    [
        {"shift_terminal": 0.02},
        {"use_karras_sigmas": True},
        {"num_train_timesteps": 500},
        {"max_shift": "x"},
        {"max_image_seq_len": 256},
        {"time_shift_type": "cubic"},
        {"stochastic_sampling": True},
        {"max_shift": 1e9},
    ],
)
def test_a_foreign_schedule_is_refused_in_one_line(change, tmp_path):
    with pytest.raises(ModelError) as caught:
        clock(SCHEDULER | change, tmp_path / "scheduler_config.json", 4096)
    assert "\n" not in str(caught.value) and "scheduler_config.json" in str(caught.value)


def test_the_clock_is_at_the_models_own_resolution(dev, folder, tmp_path):
    assert Flux().clock(dev).shift == pytest.approx(math.exp(1.15))  # 1024 pixels, 4096 tokens
    (dev / "tracelang.json").write_text('{"size": 512}')
    assert Flux().clock(dev).shift == pytest.approx(math.exp(0.5 + 0.65 * 768 / 3840))
    (dev / "tracelang.json").unlink()
    assert Flux().clock(folder).shift == pytest.approx(math.exp(0.5 - 0.65 * 240 / 3840))


def test_facts_need_no_torch(folder):
    code = (
        "import sys; from pathlib import Path; from tracelang_flux import Flux as F; f = Path(sys.argv[1]);"
        "s = F(); assert s.claims(f); s.check(f); s.sites(f); s.clock(f);"
        "assert not {'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_claims_looks_at_the_index_alone(folder, dev, tiny, tmp_path):
    assert Flux().claims(folder) and Flux().claims(dev)
    assert not Flux().claims(tiny) and not Flux().claims(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert not Flux().claims(tmp_path)
    (tmp_path / "model_index.json").write_bytes(b"\xff\xfe[")
    assert not Flux().claims(tmp_path)


def test_the_backend_is_found_by_its_entry_point(folder, tiny):
    assert (family_of(folder).name(folder), family_of(tiny).name(tiny)) == ("flux", "sd1")
