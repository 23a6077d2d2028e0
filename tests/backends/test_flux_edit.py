"""The main job on FLUX: compile, bind, apply, save, and reload in a plain FluxPipeline."""

import json
import logging
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from diffusers import FluxPipeline
from diffusers.utils import logging as diffusers_logging
from random_flux import LENGTH, build
from safetensors.torch import load_file

import tracelang
from tests.bright import Bright
from tests.engine.plans import LATE, constraints, erasure, fuse, plan, refine, run, steer
from tests.evidence.attacks.targets import SMALL
from tracelang.checkpoint.lora import Size
from tracelang.checkpoint.merge import stored
from tracelang.checkpoint.save import save
from tracelang.cli import main
from tracelang.engine.edit import applied
from tracelang.engine.low_rank import LowRank
from tracelang.evidence.attacks import ATTACKS
from tracelang.evidence.units import drift, noise
from tracelang.models.family import facts
from tracelang.plan.bind import BindError, bind
from tracelang.plan.types import ReadsSites, RoleSites
from tracelang_flux import Flux

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
RECIPE = """
templates object = "a photo of a {}", "a {}"
erase "cat" toward "ship"
preserve "dog", "truck"
method %s
"""
METHODS = {
    "uce": "uce",
    "trace_paper": "trace_paper { steer.steps = 2  steer.batch = 2  steer.trajectories = 2  steer.sampler_steps = 8 }",
}
PROMPTS = ["a photo of a cat", "a dog"]


@pytest.fixture(scope="module", params=["dev", "schnell"])
def base(tmp_path_factory, request) -> Path:
    return build(tmp_path_factory.mktemp("flux") / request.param, layout=request.param)


@pytest.fixture(scope="module")
def dev(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))


def pipeline(folder: Path) -> FluxPipeline:
    pipe = FluxPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: FluxPipeline) -> torch.Tensor:
    return pipe(
        PROMPTS,
        height=16,
        width=16,
        num_inference_steps=5,
        generator=torch.Generator().manual_seed(1),
        max_sequence_length=LENGTH,
        output_type="pt",
    ).images


@pytest.mark.parametrize("method", ["uce", "trace_paper"])
def test_one_recipe_from_text_to_pictures(method, base, caplog):
    Path("r.erase").write_text(RECIPE % METHODS[method])
    made = tracelang.apply(tracelang.bind(tracelang.compile("r.erase"), base), device="cpu")
    made.save("out", lora_error=0)
    deltas = made.edit.deltas(made.model)
    prompt_only = {site.module: site.reads for site in deltas if site.reads}
    assert prompt_only == {"context_embedder": "tokens", "time_text_embed.text_embedder.linear_1": "pooled"}
    streams = {site for site in made.model.sites if site.text} if method == "trace_paper" else set()
    assert {site for site in deltas if site.reads is None} == streams

    plain, edited, adapted = pipeline(base), pipeline(Path("out/model")), pipeline(base)
    diffusers_logging.enable_propagation()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        caplog.clear()
        adapted.load_lora_weights("out", weight_name="lora.safetensors", use_safetensors=True)
    # diffusers says this of every adapter that leaves the text encoder alone
    assert [r for r in caplog.messages if "No LoRA keys associated to CLIPTextModel" not in r] == []

    names = {name.rsplit(".lora_", 1)[0] for name in load_file("out/lora.safetensors")}
    assert names == {f"transformer.{site.module}" for site in deltas}
    for site, delta in deltas.items():
        exact = delta.dense()
        assert exact.norm() > 0
        layer = adapted.transformer.get_submodule(site.module)
        (name,) = layer.active_adapters
        effective = layer.scaling[name] * layer.lora_B[name].weight @ layer.lora_A[name].weight
        old, new = (pipe.transformer.get_parameter(site.tensor) for pipe in (plain, edited))
        assert (effective - exact).norm() <= 2e-6 * exact.norm()
        assert (new - old - exact).norm() <= 2e-7 * old.norm() + 2e-6 * exact.norm()

    before, after = load_file(base / WEIGHTS), load_file(Path("out/model") / WEIGHTS)
    assert {n for n in before if not before[n].equal(after[n])} == {site.tensor for site in deltas}  # and no bias

    images = [draw(pipe) for pipe in (plain, edited, adapted)]
    assert (images[1] - images[2]).abs().max() < 2e-5
    assert (images[0] - images[1]).abs().max() > 1e-3
    patched = made.to(pipe := pipeline(base))
    assert (draw(pipe) - images[1]).abs().max() < 2e-5
    patched.undo()
    assert draw(pipe).equal(images[0])


@pytest.mark.parametrize("form", ["lora", "lora-kohya"])
def test_every_kind_of_site_has_a_name_that_diffusers_maps_back(form, dev):
    """All roles and places, at unequal ranks, which one file must carry without rescaling any."""
    model = Flux().load(dev)
    generator = torch.Generator().manual_seed(0)

    def factor(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64) / 4

    deltas = {
        s: LowRank(factor(s.shape[0], 1 + i % 5), factor(1 + i % 5, s.shape[1]))
        for i, s in enumerate(site for site in model.sites if not site.outside)
        if form == "lora" or s.place == "double"  # of kohya's names diffusers reads these, in a tiny model
    }
    nothing = plan((erasure("ship"),), refine())
    save(Path("out"), dev, Flux(), deltas, nothing, {"r.erase": b""}, emit=(form,), size=Size(0))
    pipe = pipeline(dev)
    pipe.load_lora_weights("out", weight_name=f"{form}.safetensors", use_safetensors=True)
    pipe.fuse_lora()
    for site, delta in deltas.items():
        fused = pipe.transformer.get_submodule(site.module).base_layer.weight - model.weight(site)
        assert (fused - delta.dense()).abs().max() < 1e-5
    assert len({(site.role, site.place) for site in deltas}) == (2 + 5 * 2 if form == "lora" else 5)


def test_an_edit_toward_the_concept_itself_changes_no_bit(base):
    model = Flux().load(base)
    before = {name: value.clone() for name, value in model.denoiser.state_dict().items()}
    itself = plan((erasure("ship", anchor=("ship",)),), refine(), preserve={"dog": 1.0})
    other = plan((erasure("ship", anchor=("truck",)),), refine(), preserve={"dog": 1.0})
    x, states, times = model.noise([0, 1]), model.encode(["a ship", "a dog"]), torch.tensor([0.9, 0.2])
    sources = {"r.erase": b'erase "ship" toward "ship"'}
    with torch.no_grad():
        frozen = model.predict(x, times, states)
        edit = run(itself, model)
        save(Path("out"), base, Flux(), edit.deltas(model), itself, sources)
        alone = run(itself, Flux().text(base))
        save(Path("alone"), base, Flux(), alone.deltas(partial(stored, base)), itself, sources)
        for out in ("out", "alone"):
            assert Path(out, "model", WEIGHTS).read_bytes() == (base / WEIGHTS).read_bytes()
        with applied(model, edit) as same:
            after = model.denoiser.state_dict()
            assert all(before[name].equal(after[name]) for name in before)
            assert same.predict(x, times, states).equal(frozen)
        with applied(model, run(other, model)) as changed:
            assert not changed.predict(x, times, states).equal(frozen)
            after = model.denoiser.state_dict()
            differ = {name for name in before if not before[name].equal(after[name])}
    assert differ == {"context_embedder.weight", "time_text_embed.text_embedder.linear_1.weight"}


def test_the_closed_form_does_not_count_the_bias_twice(dev):
    """Were targets `W z + b` and the bias left there, erased states would be `W z + 2 b` (docs/methods.md §2.5)."""
    model = Flux().load(dev)
    settings = refine(ridge=1e-9, tokens="last")  # fewer states than dimensions: each can meet its target
    one = plan((erasure("cat", anchor=("ship",)),), settings, preserve={})
    edit = run(one, model)
    for name, problem in constraints(one, settings, model, ["tokens", "pooled"]).items():
        (site,) = [site for site in edit.maps if site.reads == name]
        layer = model.denoiser.get_submodule(site.module)
        F, G = problem.F.T.float(), problem.G.T.float()
        with torch.no_grad():
            wanted, was = layer(G), layer(F)
            with applied(model, edit):
                found = layer(F)
        far = (was - wanted).norm()
        doubled = (wanted + layer.bias - found).norm()
        assert (found - wanted).norm() < 0.05 * far and doubled > 10 * (found - wanted).norm()
        assert layer.bias.abs().max() > 0.05


def test_both_text_paths_are_solved_and_reported(dev):
    model = Flux().load(dev)
    edit = run(plan((erasure("cat"),), refine(), preserve={"dog": 1.0}), model)
    figures = edit.figures["refine"]
    assert figures.keys() == {"tokens", "pooled"}
    assert all(0 <= part["residual"] < 1 for part in figures.values())
    assert set(edit.text_maps) == {"tokens", "pooled"}


@pytest.mark.parametrize("on", [RoleSites(role="key"), ReadsSites(reads="denoiser")])
def test_a_closed_form_on_mixed_inputs_is_refused_and_says_why(on, dev):
    with pytest.raises(BindError, match=r"attn.to_[qk].weight does not read prompt states alone; use `on prompt`"):
        bind(plan((erasure("cat"),), refine(on=on)), facts(Flux(), dev))


@pytest.mark.parametrize("reads", ["prompt", "text"])
def test_several_concepts_become_one_edit_on_either_kind_of_input(reads, dev):
    passes = refine(), steer(on=ReadsSites(reads=reads), steps=2, batch=4, trajectories=2, sampler_steps=8), fuse()
    several = plan((erasure("cat"), erasure("dog")), *passes, preserve={"ship": 1.0})
    assert (bind(several, facts(Flux(), dev)).passes[-1].cost.frozen > 0) == (reads == "text")
    edit = run(several, Flux().load(dev), cache=None)
    (adapter,) = edit.adapters
    assert {site.reads for site in adapter.factors} == ({"tokens", "pooled"} if reads == "prompt" else {None})
    assert all(delta.norm() > 0 for delta in adapter.factors.values())


def test_both_losses_train_the_same_adapter_where_the_prediction_is_a_velocity(dev):
    model = Flux().load(dev)
    one, other = (
        run(plan((erasure("cat"),), steer(steps=4, loss=loss)), model, cache=None).adapters[0].factors
        for loss in ("prediction", "velocity")
    )
    assert one.keys() == other.keys() and all(change.norm() > 0 for change in one.values())
    assert all(torch.equal(one[site].dense(), other[site].dense()) for site in one)


def test_a_gate_works_on_the_text_stream(dev):
    model = Flux().load(dev)
    gated = run(plan((erasure("cat"),), steer(steps=4, gate=LATE, rate=0.1)), model, cache=None)
    x, states = model.noise([0, 1]), model.encode(PROMPTS)
    times = torch.tensor([model.clock.time(0.02), model.clock.time(0.9)])
    with torch.no_grad():
        frozen = model.predict(x, times, states)
        with applied(model, gated) as edited:
            change = (edited.predict(x, times, states) - frozen).flatten(1).norm(dim=1)
    assert change[0] < 0.05 * change[1]


def test_an_edit_is_drawn_and_verified_under_every_attack(dev, monkeypatch):
    monkeypatch.setattr(drift, "DRIFTS", 1)
    monkeypatch.setattr(noise, "TRAJECTORIES", 1)
    Path("r.erase").write_text(RECIPE % "uce" + 'expect over 2 samples { shown("cat") <= 99% }\n')
    tracelang.apply(tracelang.bind(tracelang.compile("r.erase"), dev), device="cpu").save("out")
    words = ["sample", "out", "--against", str(dev), "--prompt", "a cat", "--count", "1", "--steps", "2"]
    drawn = CliRunner().invoke(main, [*words, "--device", "cpu"])
    assert drawn.exit_code == 0 and Path("samples.png").exists(), drawn.output
    small = replace(SMALL, rows=2, iterations=2, views=1, population=4, generations=2, tuning=2)
    report = tracelang.verify("out", judges=[Bright()], device="cpu", model=str(dev), samples=2, steps=2, budget=small)
    assert not report.errors and {one.attack for one in report.attacks} == set(ATTACKS)
    changed = {layer.tensor for layer in report.certificate.layers if layer.change}
    assert changed == {"context_embedder.weight", "time_text_embed.text_embedder.linear_1.weight"}


def test_the_same_plan_gives_the_same_bytes_and_the_command_line_agrees(dev):
    Path("r.erase").write_text(RECIPE % METHODS["trace_paper"])
    for out in ("one", "two"):
        result = CliRunner().invoke(main, ["apply", "r.erase", "--model", str(dev), "--out", out, "--device", "cpu"])
        assert result.exit_code == 0, result.stderr
    for file in (f"model/{WEIGHTS}", "lora.safetensors", "lock.json"):
        assert (Path("one") / file).read_bytes() == (Path("two") / file).read_bytes()
    lock = json.loads(Path("one/lock.json").read_text())
    assert lock["family"] == "flux" and {"transformer", "text_encoder_2"} <= lock["model"]["components"].keys()
    assert lock["conditions"] == {"guidance": 1, "embedded_guidance": 3.5, "size": 16, "tokens": LENGTH}
    shown = CliRunner().invoke(main, ["plan", "r.erase", "--model", str(dev), "--json"])
    facts = json.loads(shown.stdout)
    assert facts["family"] == "flux" and "context_embedder.weight" in facts["tensors"]
    (late,) = [w for step in facts["passes"] for w in step["windows"] if w["label"] == "push"]
    assert late["times"][1] == 0 < late["times"][0] < 1 and late["logsnr"][0] is not None
    assert facts["collateral"]["erased"]["cat"] > facts["collateral"]["preserved"]["dog"]
