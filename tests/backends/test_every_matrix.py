"""An adapter on every matrix of attention and feed-forward, as plain diffusers reads it: whole, and as a file."""

from dataclasses import replace
from pathlib import Path

import pytest
import random_flux
import random_sd
import random_sdxl
import torch
from diffusers import DiffusionPipeline

import tracelang
from tests.evidence.certified import certify
from tracelang.checkpoint import delta as deltas
from tracelang.models.locate import family_of, locate
from tracelang.plan.bind import BindError

RECIPE = """
templates object = "a photo of a {}", "a {}"
erase "cat" toward "ship"
preserve "dog"
define method wide {
  steer on denoiser {
    steps = 3  rate = 0.01  batch = 2  trajectories = 2  sampler_steps = 4
    push {}
    keep {}
  }
}
method wide
"""
BASES = {
    "sd": lambda folder: random_sd.build(folder),
    "sd2": lambda folder: random_sd.build(folder, config="sd2"),
    "sdxl": lambda folder: random_sdxl.build(folder),
    "flux": lambda folder: random_flux.build(folder),
    "schnell": lambda folder: random_flux.build(folder, layout="schnell"),
    "micro-sd": lambda folder: locate("micro-sd"),
    "micro-flux": lambda folder: locate("micro-flux"),
}
ROLES = {"query", "key", "value", "out", "feedforward"}


@pytest.mark.parametrize("name", BASES)
def test_folder_file_and_loaded_model_predict_the_same(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    base, out = BASES[name](tmp_path / "base"), tmp_path / "out"
    (tmp_path / "r.erase").write_text(RECIPE)
    made = tracelang.apply(tracelang.bind(tracelang.compile(tmp_path / "r.erase"), base), device="cpu")
    made.save(out, root=tmp_path, lora_error=0)
    model, changes = made.model, made.edit.deltas(made.model)
    assert {site.role for site in changes} == ROLES
    assert set(changes) == {site for site in model.sites if site.role in ROLES}
    assert not {site for site in changes if site.outside}

    latents, states = model.noise([0, 1]), model.encode(["a photo of a cat", "a dog"])
    times = torch.tensor([model.clock.time(0.1), model.clock.time(0.6)])

    def predicted(denoiser: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return replace(model, denoiser=denoiser).predict(latents, times, states)

    part = next(iter(changes)).component
    adapted = DiffusionPipeline.from_pretrained(base, local_files_only=True, dtype=torch.float32)
    plain = predicted(getattr(adapted, part))
    adapted.load_lora_weights(out, weight_name="lora.safetensors", use_safetensors=True)
    whole, file = predicted(family_of(base).load(out / "model").denoiser), predicted(getattr(adapted, part))
    with made.applied() as edited, torch.no_grad():
        here = edited.predict(latents, times, states)
    moved = (here - plain).abs().max()
    assert moved > 100 * max((here - whole).abs().max(), (here - file).abs().max()), moved

    adapted.fuse_lora()
    for site, delta in changes.items():
        weight = model.weight(site)
        fused = getattr(adapted, part).get_submodule(site.module).base_layer.weight
        assert (fused - weight - delta.dense()).abs().max() <= 1e-5 * (1 + weight.abs().max()), site.tensor

    certificate = certify(made.bound.plan, model, family_of(base).load(Path(out) / "model"))
    assert {layer.tensor for layer in certificate.layers if layer.change > 0} == {site.tensor for site in changes}
    assert all(1 <= layer.rank <= 8 for layer in certificate.layers if layer.change > 0)
    assert not any("self-attention" in line for line in certificate.untouched)


WHOLE = """
templates object = "a photo of a {}", "a {}"
erase "cat" toward "ship"
preserve "dog"
define method whole {
  mask on everything { share = 0.5  seeds = 2  steps = 2  sampler_steps = 4 }
  steer on everything {
    train = weights  steps = 3  rate = 0.01  batch = 2  trajectories = 2  sampler_steps = 4
    push {}
    keep {}
  }
}
method whole
"""


@pytest.mark.parametrize("name", BASES)
def test_weights_that_a_mask_leaves_are_trained_everywhere_and_no_other_changes(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    base, out = BASES[name](tmp_path / "base"), tmp_path / "out"
    (tmp_path / "r.erase").write_text(WHOLE)
    made = tracelang.apply(tracelang.bind(tracelang.compile(tmp_path / "r.erase"), base), device="cpu")
    made.save(out, root=tmp_path, emit=["folder", "delta"])
    model, edit = made.model, made.edit
    assert set(edit.sites) == set(model.sites) and {site.role for site in edit.sites} > ROLES
    edited = family_of(base).load(out / "model")
    masks = edit.masks[("cat",)]
    for site in model.sites:
        before, after = model.weight(site).detach(), edited.weight(site).detach()
        assert after.shape == before.shape == site.stored
        left, moved = masks[site], (after != before).flatten(1)
        assert left.any() and not (moved & ~left).any(), site.tensor
        assert moved[left].float().mean() > 0.9, site.tensor
    told = {entry.tensor for entry in certify(made.bound.plan, model, edited).layers if entry.change > 0}
    assert told == {site.tensor for site in model.sites}
    delta = deltas.read(out / "delta.safetensors")
    deltas.apply(delta, out / "model", tmp_path / "back", revert=True)
    for path in (path for path in base.rglob("*.safetensors") if (tmp_path / "back" / path.relative_to(base)).exists()):
        assert (tmp_path / "back" / path.relative_to(base)).read_bytes() == path.read_bytes()


def test_no_adapter_goes_to_a_convolution(tmp_path):
    (tmp_path / "r.erase").write_text('erase "cat"\nmethod esd { steer.on = everything }\n')
    with pytest.raises(BindError, match=r"no adapter goes to conv_in\.weight.*write `train = weights`"):
        tracelang.bind(tracelang.compile(tmp_path / "r.erase"), locate("micro-sd"))
