"""The main job on SDXL: compile, bind, apply, save, and reload in a plain StableDiffusionXLPipeline.

Of the matrix behind the pooled state an edit changes the columns of that state, and no other byte.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from diffusers import StableDiffusionXLPipeline
from random_sdxl import PROJECTED, TINY_SDXL_UNET, build
from safetensors.torch import load_file

import tracelang
from tests.bright import Bright
from tests.engine.plans import erasure, fuse, plan, refine, run, steer
from tests.evidence.attacks.targets import SMALL
from tests.evidence.certified import certify
from tracelang.checkpoint import lora
from tracelang.cli import main
from tracelang.engine.edit import applied
from tracelang.engine.lora import injected
from tracelang.engine.low_rank import LowRank, compress
from tracelang.engine.sampling import sample_latents
from tracelang.evidence.attacks import ATTACKS
from tracelang.evidence.units import drift, noise
from tracelang.models.weights import sha256
from tracelang.plan.types import ReadsSites
from tracelang_sd import StableDiffusionXL
from tracelang_sd.sites import POOLED

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
RECIPE = """
templates object = "a photo of a {}", "a {}"
erase "cat" toward "ship"
preserve "dog", "truck"
method %s
"""
METHODS = {
    "uce": "uce",
    "trace": "trace { steer.steps = 3  steer.batch = 2  steer.trajectories = 2  steer.sampler_steps = 8 }",
}
PROMPTS = ["a photo of a cat", "a dog"]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model(tiny_sdxl):
    return StableDiffusionXL().load(tiny_sdxl)


@pytest.fixture
def pooled(model):
    return next(site for site in model.sites if site.tensor == POOLED)


def bits(tensor):
    return tensor.contiguous().view({2: torch.int16, 4: torch.int32}[tensor.element_size()])


def drawn(folder, prompts=PROMPTS):
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    return pipe(list(prompts), num_inference_steps=4, generator=generators, output_type="latent").images


def apply(base, method, **told):
    Path("r.erase").write_text(RECIPE % METHODS[method])
    made = tracelang.apply(tracelang.bind(tracelang.compile("r.erase"), base), device="cpu")
    made.save("out", **told)
    return made


@pytest.mark.parametrize(("method", "dtype"), [*(("uce", dtype) for dtype in DTYPES), ("trace", "float16")])
def test_one_recipe_from_text_to_pictures(method, dtype, tmp_path):
    base = build(tmp_path / "base", dtype=DTYPES[dtype])
    made = apply(base, method, emit=("folder",))
    files = {path.relative_to(base) for path in base.rglob("*") if path.is_file()}
    assert files == {path.relative_to("out/model") for path in Path("out/model").rglob("*") if path.is_file()}
    assert {str(name) for name in files if sha256(base / name) != sha256("out/model" / name)} == {WEIGHTS}

    before, after = (load_file(folder / WEIGHTS) for folder in (base, Path("out/model")))
    assert {(name, value.dtype, value.shape) for name, value in before.items()} == {
        (name, value.dtype, value.shape) for name, value in after.items()
    }
    moved = {name for name in before if not bits(before[name]).equal(bits(after[name]))}
    wanted = {
        site.tensor
        for site in StableDiffusionXL().sites(base)
        if site.reads or (method == "trace" and not site.outside)
    }
    assert moved == wanted == {site.tensor for site in made.edit.sites}
    assert POOLED in moved and len([name for name in moved if ".attn2.to_k." in name or ".attn2.to_v." in name]) == 16
    told, kept = (bits(one[POOLED]) for one in (before, after))
    assert kept[:, PROJECTED:].equal(told[:, PROJECTED:])
    zero = (before[POOLED] == 0) & before[POOLED].signbit()
    assert zero[:, PROJECTED:].any() and bits(after[POOLED])[:, :PROJECTED].ne(told[:, :PROJECTED]).any(0).sum() > 15

    old, new = drawn(base, [*PROMPTS, ""]), drawn("out/model", [*PROMPTS, ""])
    assert new.isfinite().all() and (new[0] - old[0]).abs().max() > 0.01 * old.abs().max()
    with made.applied() as edited:
        here = sample_latents(edited, edited.encode(PROMPTS), [0, 1], steps=4)
    room = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}[dtype]
    assert (here - new[:2]).abs().max() < room * new.abs().max()


def test_a_closed_form_leaves_what_stands_beside_a_prompt_alone(model, pooled):
    """Zeros read by edited matrices are what they were; the states of nothing too, up to the ridge."""
    edit = run(plan((erasure("cat"),), refine(), preserve={"dog": 1.0}), model)
    assert set(edit.text_maps) == {"tokens", "pooled"} == edit.figures["refine"].keys()
    assert len(edit.maps[pooled].left) == PROJECTED
    nothing, x, times = model.unconditional(), model.noise([0]), torch.tensor([500.0])
    with torch.no_grad():
        before = model.predict(x, times, nothing)
        with applied(model, edit) as edited:
            assert edited.predict(x, times, nothing).equal(before)
            assert not edited.predict(x, times, model.encode(["a photo of a cat"])).equal(before)


def test_the_map_of_the_pooled_state_is_that_of_the_columns_cut_out(model, pooled):
    edit = run(plan((erasure("cat"),), refine(), preserve={"dog": 1.0}), model)
    weight = model.weight(pooled).detach()
    new, delta = edit.patched(pooled, weight), edit.delta(pooled, weight)
    by_hand = weight[:, :PROJECTED].double() @ edit.maps[pooled].dense()
    assert new[:, :PROJECTED].equal(by_hand.float()) or (new[:, :PROJECTED] - by_hand).abs().max() < 1e-6
    assert bits(new)[:, PROJECTED:].equal(bits(weight)[:, PROJECTED:])
    assert (delta.up.shape[0], delta.down.shape[1]) == pooled.shape and not delta.down[:, PROJECTED:].any()
    assert (weight + delta.dense() - new).abs().max() < 1e-6
    with pytest.raises(RuntimeError):  # control: the map does not fit the whole matrix
        whole = replace(pooled, columns=None)
        replace(edit, maps={whole: edit.maps[pooled]}).patched(whole, weight)


@pytest.mark.parametrize("columns", ["its", "all"])
def test_an_adapter_trains_on_the_columns_of_the_pooled_state(columns, model, pooled):
    site = pooled if columns == "its" else replace(pooled, columns=None)
    states, x, times = model.encode(PROMPTS), model.noise([0, 1]), torch.tensor([500.0, 20.0])
    with injected(model, [site], 4, "test", 0) as adapters:
        lora_of = adapters.loras[site]
        optimiser = torch.optim.AdamW([lora_of.down, lora_of.up], lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            model.predict(x, times, states).square().mean().backward()
            optimiser.step()
        found = lora_of.factors()
    inside, beside = found.down[:, :PROJECTED], found.down[:, PROJECTED:]
    assert found.norm() > 0 and inside.all()
    assert beside.any() == (columns == "all")  # the control: without the slice what sizes mean would change


def test_adapters_maps_and_fusions_keep_to_the_columns(model, pooled):
    on = ReadsSites(reads="prompt")
    told = {"steps": 2, "batch": 4, "trajectories": 2, "sampler_steps": 8}
    passes = refine(), steer(on=on, **told), fuse(), replace(refine(), label="again")
    edit = run(plan((erasure("cat"), erasure("dog")), *passes, preserve={"ship": 1.0}), model, cache=None)
    (adapter,) = edit.adapters
    change = adapter.factors[pooled]
    assert change.down.shape[1] == pooled.shape[1] and change.norm() > 0 and not change.down[:, PROJECTED:].any()
    weight = model.weight(pooled).detach()
    assert bits(edit.patched(pooled, weight))[:, PROJECTED:].equal(bits(weight)[:, PROJECTED:])


def test_the_adapter_file_has_the_whole_matrix_and_says_nothing_of_the_other_columns(tiny_sdxl, pooled, model):
    made = apply(tiny_sdxl, "uce", emit=("lora", "folder"))
    found = lora.read(Path("out/lora.safetensors"), made.model.sites)
    change = found[pooled]
    assert (change.up.shape[0], change.down.shape[1]) == pooled.shape and not change.down[:, PROJECTED:].any()
    after = load_file(f"out/model/{WEIGHTS}")[POOLED]
    assert (model.weight(pooled) + change.dense() - after).abs().max() < 1e-5


def test_columns_of_zeros_are_exact_and_cost_no_rank():
    generator = torch.Generator().manual_seed(0)
    up, down = torch.randn(9, 4, generator=generator).double(), torch.randn(4, 12, generator=generator).double()
    down[:, 2:7] = 0
    found = compress(LowRank(up, down))
    assert not found.down[:, 2:7].any() and (found.dense() - up @ down).abs().max() < 1e-12 and found.rank == 4
    assert compress(LowRank(up, torch.zeros_like(down))).rank == 0


def test_the_certificate_reads_the_columns_and_sees_what_is_beside_them(tiny_sdxl, pooled):
    asked = plan((erasure("cat"),), refine(), preserve={"dog": 1.0})
    base, edited = (StableDiffusionXL().load(tiny_sdxl) for _ in range(2))
    for one in (base, edited):
        torch.nn.init.normal_(one.weight(pooled), generator=torch.Generator().manual_seed(0))  # of full rank
    run(asked, base).to(edited)
    found = certify(asked, base, edited)
    assert found.map_share > 1 - 1e-6 and {layer.reads for layer in found.layers} == {"tokens", "pooled"}
    (layer,) = [layer for layer in found.layers if layer.tensor == POOLED]
    assert layer.shape == pooled.shape and 1 <= layer.rank <= 4 and layer.change > 0
    before, after = (torch.linalg.cond(one.weight(pooled)[:, :PROJECTED].double()) for one in (base, edited))
    assert layer.condition == pytest.approx(float(after / before), rel=1e-3)
    assert all(reach.residual is None or reach.residual < 1 for reach in found.reaches)
    with torch.no_grad():  # somebody changed what the sizes mean: no text map explains that
        edited.weight(pooled)[:, -4:] += 1
    other = certify(asked, base, edited)
    assert other.map_share < 0.9 and [r.residual for r in other.reaches] == [r.residual for r in found.reaches]


def test_plan_counts_the_columns_alone(tiny_sdxl):
    Path("r.erase").write_text(RECIPE % "uce")
    shown = CliRunner().invoke(main, ["plan", "r.erase", "--model", str(tiny_sdxl), "--json"])
    facts = json.loads(shown.stdout)
    sites = [site for site in StableDiffusionXL().sites(tiny_sdxl) if site.reads]
    width = 4 * TINY_SDXL_UNET["block_out_channels"][0]
    assert facts["family"] == "sdxl" and POOLED in facts["tensors"] and len(facts["tensors"]) == 17
    assert facts["parameters"]["edited"] == sum(s.shape[0] * s.shape[1] for s in sites[1:]) + width * PROJECTED


def test_an_edit_is_drawn_and_verified_under_every_attack(tiny_sdxl, monkeypatch):
    monkeypatch.setattr(drift, "DRIFTS", 1)
    monkeypatch.setattr(noise, "TRAJECTORIES", 1)
    Path("r.erase").write_text(RECIPE % "uce" + 'expect over 2 samples { shown("cat") <= 99% }\n')
    tracelang.apply(tracelang.bind(tracelang.compile("r.erase"), tiny_sdxl), device="cpu").save("out")
    lock = json.loads(Path("out/lock.json").read_text())
    assert lock["family"] == "sdxl" and {"unet", "text_encoder_2"} <= lock["model"]["components"].keys()
    assert lock["conditions"] == dict(StableDiffusionXL().conditions(tiny_sdxl))
    words = ["sample", "out", "--against", str(tiny_sdxl), "--prompt", "a cat", "--count", "1", "--steps", "2"]
    drawn = CliRunner().invoke(main, [*words, "--device", "cpu"])
    assert drawn.exit_code == 0 and Path("samples.png").exists(), drawn.output
    small = replace(SMALL, rows=2, iterations=2, views=1, population=4, generations=2, tuning=2)
    report = tracelang.verify(
        "out", judges=[Bright()], device="cpu", model=str(tiny_sdxl), samples=2, steps=2, budget=small
    )
    assert not report.errors and {one.attack for one in report.attacks} == set(ATTACKS)
    changed = {layer.tensor for layer in report.certificate.layers if layer.change}
    assert POOLED in changed and len(changed) == 17
