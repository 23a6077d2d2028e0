"""Tensors of single files under diffusers' names: as diffusers' own converters have them, at every size."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from diffusers.loaders import single_file_utils as theirs

from tests.layouts import folder, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.converters import converted, in_torch
from tracelang.models import header, weights
from tracelang.models.locate import family_of, locate
from tracelang.models.parametrisation import NOISE, V
from tracelang.models.single import reference, stock, tensors
from tracelang.plan.family import ModelError

TINY = ("sd1", "sd2", "sdxl", "sdxl-v", "flux-dev", "flux-schnell")
PUBLISHED = "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"
"""sha256 of `tokenizer/merges.txt` in the published stable-diffusion-v1-5."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", TINY)
def test_every_tensor_is_what_diffusers_converts_it_to(kind, tmp_path):
    model = checkpoint(kind)
    file = single.build(tmp_path / "model.safetensors", model, ema=model.denoiser == "unet")
    at = locate(str(file), str(folder.build(tmp_path / "folder", model)))
    expected = converted(model, in_torch(single.tensors(model)))
    for component in model.parts:
        held = reference.held(at / component)
        assert held is not None
        found = {name: tensors._turned(held, name, entry) for name, entry in held.tensors.items()}
        theirs_ = expected[component]
        if kind == "sd2" and component == "text_encoder":  # the layer that OpenCLIP has beyond those that are read
            last = f".layers.{model.config(component)['num_hidden_layers']}."
            theirs_ = {name: value for name, value in theirs_.items() if last not in name}
            del found["text_projection.weight"]
        assert found.keys() == theirs_.keys()
        assert not [name for name in found if not torch.equal(found[name], theirs_[name])]


@pytest.mark.parametrize("kind", TINY)
def test_an_editable_matrix_is_bytes_of_the_file_as_they_lie_there(kind, tmp_path):
    model = checkpoint(kind)
    file = single.build(tmp_path / "model.safetensors", model)
    at = locate(str(file), str(folder.build(tmp_path / "folder", model)))
    data = file.read_bytes()
    for site in family_of(at).sites(at):
        held = reference.held(at / site.component)
        assert held is not None and site.tensor not in held.turns
        entry = held.tensors[site.tensor]
        assert entry.shape == site.stored
        part = model.parts[site.component][site.tensor]
        assert data[entry.begin : entry.end] == part.bits().tobytes()


@pytest.mark.parametrize(("kind", "config"), [("sd1", None), ("sd2", "sd21"), ("sdxl", None), ("sdxl-v", None)])
def test_published_sizes_fit_the_configs_that_are_shipped(kind, config, tmp_path):
    model = checkpoint(kind, "true", keep=lambda component, name: False)
    markers = ("v_pred", "ztsnr") if kind == "sdxl-v" else ()
    file = single.build(tmp_path / "model.safetensors", model, markers=markers)
    at = locate(str(file), config)
    family = family_of(at)
    family.check(at)
    assert family.name(at) == kind.removesuffix("-v")
    for component, parts in model.parts.items():
        found = {name: entry.shape for name, (_, entry) in weights.find(at / component).tensors.items()}
        assert {name: part.shape for name, part in parts.items()}.items() <= found.items()
    assert family.clock(at).parametrisation == (V if kind in ("sd2", "sdxl-v") else NOISE)


def test_a_published_flux_file_is_read_with_a_folders_configs(tmp_path):
    model = checkpoint("flux-dev", "true", keep=lambda component, name: False)
    file = single.build(tmp_path / "flux1-dev.safetensors", model, prefix="", vae=False, encoders=False)
    at = locate(str(file), str(folder.build(tmp_path / "folder", model)))
    found = {name: entry.shape for name, (_, entry) in weights.find(at / "transformer").tensors.items()}
    assert found == {name: part.shape for name, part in model.parts["transformer"].items()}


def test_stock_tokenizers_are_clips():
    pairs = stock.merges()
    words = stock.vocabulary(pairs)
    assert len(pairs) == 48894 and len(words) == 49408
    known = {"!": 0, "!</w>": 256, "cat</w>": 2368, "photo</w>": 1125, stock.START: 49406, stock.END: 49407}
    assert {word: words[word] for word in known} == known
    from transformers import CLIPTokenizer

    at = stock.folder("sd15")
    assert hashlib.sha256((at / "tokenizer" / "merges.txt").read_bytes()).hexdigest() == PUBLISHED
    ids = CLIPTokenizer.from_pretrained(at / "tokenizer")("a photo of a cat")["input_ids"]
    assert ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert CLIPTokenizer.from_pretrained(stock.folder("sd21") / "tokenizer").pad_token_id == 0


def test_averages_over_training_are_known_by_their_names(tmp_path):
    model = checkpoint("sd1")
    config = str(folder.build(tmp_path / "folder", model))
    whole = single.tensors(model, ema=True)
    at = locate(str(single.build(tmp_path / "ema.safetensors", model, ema=True)), config)
    held = reference.held(at / "unet")
    assert held is not None and held.copies.keys() == held.tensors.keys()
    other = {name: tensor for name, tensor in whole.items() if not name.endswith("attn2to_kweight")}
    from tests.layouts.tensors import write

    at = locate(str(write(tmp_path / "some.safetensors", other)), config)
    with pytest.raises(ModelError, match="average over training"):
        weights.find(at / "unet")


def test_diffusers_reads_the_same_prefixes():
    """Who loads the output looks for these."""
    assert theirs.LDM_UNET_KEY == "model.diffusion_model."
    assert set(theirs.LDM_VAE_KEYS) == {"first_stage_model.", "vae."}


def test_a_reference_outside_the_cache_is_not_believed(tmp_path):
    model = checkpoint("sd1")
    at = folder.build(tmp_path / "folder", model)
    file = single.build(tmp_path / "model.safetensors", model)
    prepared = locate(str(file), str(at))
    (at / "unet" / reference.NAME).write_bytes((prepared / "unet" / reference.NAME).read_bytes())
    assert reference.held(prepared / "unet") is not None and reference.held(at / "unet") is None
    assert weights.find(at / "unet").files[0].is_relative_to(at)


def test_a_file_that_changes_is_noticed(tmp_path):
    model = checkpoint("sd1")
    at = str(folder.build(tmp_path / "folder", model))
    file = single.build(tmp_path / "model.safetensors", model)
    first = locate(str(file), at)
    assert locate(str(file), at) == first
    single.build(file, checkpoint("sd1", seed=1))
    with pytest.raises(ModelError, match="written to since"):
        weights.find(first / "unet")
    second = locate(str(file), at)
    assert second != first and header.read(file).tensors
    assert weights.fingerprint(second) != ""
    file.unlink()
    with pytest.raises(ModelError, match="put it back"):
        weights.find(second / "unet")


def test_the_encoders_key_does_not_change_with_the_denoiser(tmp_path):
    """States of prompts are kept by it, and an edit leaves the text encoder as it was."""
    model = checkpoint("sd1")
    config = str(folder.build(tmp_path / "folder", model))
    one = single.build(tmp_path / "one.safetensors", model)
    data = bytearray(one.read_bytes())
    entry = header.read(one).tensors["model.diffusion_model.out.2.bias"]
    data[entry.begin] ^= 1
    (tmp_path / "two.safetensors").write_bytes(data)
    data[header.read(one).tensors["cond_stage_model.transformer.text_model.final_layer_norm.bias"].begin] ^= 1
    (tmp_path / "three.safetensors").write_bytes(data)
    ats = [locate(str(tmp_path / f"{name}.safetensors"), config) for name in ("one", "two", "three")]
    keys = [weights.prompt_side(at, ["text_encoder"], ["tokenizer"]) for at in ats]
    assert keys[0] == keys[1] != keys[2]
    assert len({weights.fingerprint(at) for at in ats}) == 3
