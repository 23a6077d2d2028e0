"""Files that people pass after `--model`: what each is, and the true reason where it is refused, in one line."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.layouts import folder, odd, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.tensors import given, write
from tests.pages.reading import COMMANDS_PAGE, says
from tracelang.models import header, weights
from tracelang.models.locate import family_of, locate, title
from tracelang.models.single import prepare, reference, stock
from tracelang.plan.family import ModelError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))


def refusal(model: Path, config: str | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        at = locate(str(model), config)
        family_of(at).check(at)
    assert "\n" not in str(caught.value)
    return str(caught.value)


REASONS = {
    "inpainting": "is an inpainting model",
    "refiner": "SDXL's refiner",
    "fp8 scaled": "quantised",
    "nf4": "quantised",
    "gguf": "quantise again",
    "ckpt": "a pickle can run code",
    "lora": "a LoRA",
    "vae": "an autoencoder",
    "component": "a UNet in diffusers' names",
    "sd3": "Stable Diffusion 3",
    "truncated": "holds",
}


@pytest.mark.parametrize("name", REASONS)
def test_what_is_no_checkpoint_says_what_it_is(name, tmp_path):
    file = odd.ODD[name](tmp_path)
    told = refusal(file)
    assert told.startswith(f"{file}: ") and REASONS[name] in told


@pytest.mark.parametrize("name", ["fp8", "fp8 scaled", "nf4"])
def test_quantised_files_name_a_matrix_that_would_be_edited_as_the_file_does(name, tmp_path):
    config = folder.build(tmp_path / "config", checkpoint("flux-dev"))
    file = odd.ODD[name](tmp_path)
    told = refusal(file, str(config))
    assert re.search(r"'(model\.diffusion_model\.)?(txt_in|vector_in\.in_layer)\.", told), told
    count = int(re.search(r"one of (\d+) such tensors", told)[1])
    assert 0 < count < len(header.read(file).tensors) and "quantise again" in told


def test_a_missing_tensor_is_told_by_the_only_name_that_is_known(tmp_path):
    model = checkpoint("sd1")
    config = folder.build(tmp_path / "config", model, only=())
    for name, reason in (
        ("out.2.weight", "lack what diffusers calls 'conv_out.weight'"),
        ("input_blocks.0.0.weight", "no 'input_blocks.0.0.weight', where such a denoiser begins"),
    ):
        held = single.tensors(model)
        del held[f"model.diffusion_model.{name}"]
        assert reason in refusal(write(tmp_path / "x.safetensors", held, {}), str(config))


@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_a_tensor_of_another_shape_is_called_as_in_the_file(component, tmp_path):
    model = checkpoint("sd1")
    held = single.tensors(model)
    part = {"unet": "attn2.to_k.weight", "text_encoder": "token_embedding.weight"}[component]
    name = next(name for name in held if name.endswith(part))
    shape = held[name].shape
    held[name] = given("F16", np.zeros((shape[0] - 1, *shape[1:])))
    file = write(tmp_path / "x.safetensors", held, {})
    told = refusal(file, str(folder.build(tmp_path / "config", model, only=())))
    assert repr(name) in told and "down_blocks" not in told and "do not belong together" in told


@pytest.mark.parametrize(("key", "reason"), [("tracelang.delta", "`tracec patch`"), ("tracelang.map", "is a map")])
def test_what_apply_writes_beside_a_checkpoint_is_no_checkpoint(key, reason, tmp_path):
    file = write(tmp_path / "x.safetensors", {"x": given("F32", [1.0])}, {key: "{}"})
    assert reason in refusal(file)


def test_a_pickle_says_how_it_is_converted_and_is_not_read(tmp_path):
    told = refusal(odd.ckpt(tmp_path))
    assert "sandbox" in told and "weights_only=True" in told


def test_fp8_names_the_file_and_its_way_out(tmp_path):
    config = str(folder.build(tmp_path / "folder", checkpoint("flux-dev")))
    told = refusal(odd.fp8(tmp_path), config)
    assert "F8_E4M3" in told and "flux-dev-fp8.safetensors" in told and "cache" not in told


def named(tmp_path: Path, *names: str) -> Path:
    return write(tmp_path / "x.safetensors", {name: given("F16", [[1.0]]) for name in names})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("control_model.zero_convs.0.0.weight", "a ControlNet"),
        ("controlnet_blocks.0.weight", "a ControlNet"),
        ("image_proj.proj.weight", "an IP-Adapter"),
        ("emb_params", "a textual inversion"),
        ("clip_g", "a textual inversion"),
        ("distilled_guidance_layer.in_proj.weight", "Chroma"),
        ("double_stream_modulation_img.lin.weight", "FLUX.2"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.hada_w1_a", "a LoRA"),
        ("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", "a LoRA"),
        ("transformer_blocks.0.attn.to_q.weight", "a transformer in diffusers' names"),
        ("text_model.encoder.layers.0.mlp.fc1.weight", "a text encoder"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", "a text encoder"),
        ("blocks.0.cross_attn.k.weight", "other families are not supported"),
        ("edm_mean", "'edm_mean'"),
    ],
)
def test_names_tell_what_a_file_is(name, reason, tmp_path):
    assert reason in refusal(named(tmp_path, name))


def test_flux_that_fills_in_or_follows_pictures(tmp_path):
    model = dict(single.tensors(checkpoint("flux-dev"), prefix="", vae=False, encoders=False))
    for channels, what in ((384, "fills in"), (128, "follows depth")):
        model["img_in.weight"] = given("BF16", [[0.0] * channels])
        assert what in refusal(write(tmp_path / "x.safetensors", model))


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "flux-dev"])
def test_a_second_denoiser_would_stay_unedited(kind, tmp_path):
    model = checkpoint(kind)
    whole = dict(single.tensors(model))
    alone = single.tensors(model, vae=False, encoders=False)
    for prefix in ("", "model.model.", "other."):
        both = whole | {prefix + name.removeprefix(single.INSIDE): tensor for name, tensor in alone.items()}
        assert "2 denoisers" in refusal(write(tmp_path / "x.safetensors", both))
    moved = {f"net.{name.removeprefix(single.INSIDE)}": tensor for name, tensor in alone.items()}
    assert "'net.'" in refusal(write(tmp_path / "x.safetensors", moved))


def test_one_tensor_under_two_names(tmp_path):
    model = checkpoint("sd1")
    config = str(folder.build(tmp_path / "folder", model))
    whole = dict(single.tensors(model))
    name = "cond_stage_model.transformer.text_model.final_layer_norm.bias"
    whole[name.replace("text_model.", "")] = whole[name]
    assert "are one tensor" in refusal(write(tmp_path / "x.safetensors", whole), config)


def hostile(path: Path, table: object, data: bytes = b"") -> Path:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


FIRST = "model.diffusion_model.input_blocks.0.0.weight"
KEY = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    "table",
    [
        {FIRST: {"dtype": "F32", "shape": [1 << 40, 4, 3, 3], "data_offsets": [0, 4]}},
        {FIRST: {"dtype": "F32", "shape": [1, 4, 0, 3], "data_offsets": [0, 0]}},
        {FIRST: {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}},
        {
            FIRST: {"dtype": "F32", "shape": [0, 4, 3, 3], "data_offsets": [0, 0]},
            KEY: {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        },
        {FIRST: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, f"{FIRST} ": {"dtype": "F32"}},
        b'{"a": 1, "a": 2}',
        b"[]",
        b"",
        {
            "double_blocks.0.img_attn.qkv.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "txt_in.weight": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]},
            "vector_in.in_layer.weight": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]},
            "img_in.weight": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        },
    ],
)
def test_a_hostile_header_ends_in_one_line(table, tmp_path):
    refusal(hostile(tmp_path / "x.safetensors", table, bytes(4)))


@pytest.mark.parametrize("number", ["9" * 5000, "٣", "-1", "999"])
def test_blocks_of_absurd_numbers_are_no_blocks(number, tmp_path):
    model = checkpoint("sd1")
    config = str(folder.build(tmp_path / "folder", model))
    whole = dict(single.tensors(model))
    whole[f"model.diffusion_model.input_blocks.{number}.0.in_layers.0.weight"] = given("F16", [1.0])
    at = locate(str(write(tmp_path / "x.safetensors", whole)), config)
    family_of(at).check(at)
    held = reference.held(at / "unet")
    assert held is not None and len(held.tensors) - len(model.parts["unet"]) == (number == "999")


def test_what_a_file_lacks_is_asked_for_by_name(tmp_path):
    model = checkpoint("sd1")
    file = single.build(tmp_path / "x.safetensors", model, vae=False, encoders=False)
    told = refusal(file)
    assert "holds no vae and no text_encoder;" in told and "--config FOLDER|ID" in told
    assert "configs alone" in refusal(file, "sd15")
    config = folder.build(tmp_path / "folder", model)
    at = locate(str(file), str(config))
    family_of(at).check(at)
    assert (
        weights.find(at / "vae").files[0].resolve()
        == (config / "vae" / "diffusion_pytorch_model.safetensors").resolve()
    )
    for path in (config / "vae").glob("*.safetensors"):
        path.unlink()
    assert reference.bare(locate(str(file), str(config)) / "vae")  # a closed form does without
    for path in (config / "text_encoder").glob("*.safetensors"):
        path.unlink()
    assert "holds no text_encoder, and --config has none either" in refusal(file, str(config))


def test_what_is_predicted_is_read_from_the_file_or_asked_for(tmp_path):
    model = checkpoint("sd2", "true", keep=lambda component, name: False)
    file = single.build(tmp_path / "v2.safetensors", model)
    told = refusal(file)
    assert "--config sd21 for v" in told and "--config sd21-base" in told
    for key, value, expected in (
        ("modelspec.prediction_type", "v", "sd21"),
        ("modelspec.prediction_type", "epsilon", "sd21-base"),
        ("modelspec.architecture", "stable-diffusion-v2-512", "sd21-base"),
        ("modelspec.architecture", "stable-diffusion-v2-768-v", "sd21"),
    ):
        one = single.build(tmp_path / f"{expected}.safetensors", model, {key: value})
        assert prepare.kind(one).stock == expected
        other = "sd21" if expected == "sd21-base" else "sd21-base"
        assert "pass its own configs" in refusal(one, other)


def test_the_configs_have_to_be_the_models(tmp_path):
    file = single.build(tmp_path / "x.safetensors", checkpoint("sd1"))
    assert "is a 'StableDiffusionXLPipeline'" in refusal(file, "sdxl")
    told = refusal(file, "sd15")
    assert str(file) in told and "cache" not in told
    assert "no such folder" in refusal(file, "sd16")
    assert "no model_index.json" in refusal(file, str(tmp_path))
    config = folder.build(tmp_path / "folder", checkpoint("sd1"))
    with pytest.raises(ModelError, match="leave it out"):
        locate(str(config), "sd15")
    assert "no model whose configs are shipped" in refusal(file)


def test_nothing_is_read_through_a_link_out_of_the_configs(tmp_path):
    model = checkpoint("sd1")
    file = single.build(tmp_path / "x.safetensors", model)
    config = folder.build(tmp_path / "folder", model)
    (tmp_path / "secret.txt").write_text("mine")
    (config / "tokenizer" / "secret.txt").symlink_to(tmp_path / "secret.txt")
    assert "a link out of the folder" in refusal(file, str(config))


def test_of_a_hubs_model_only_what_is_needed_is_fetched(tmp_path, monkeypatch):
    import huggingface_hub

    model = checkpoint("flux-dev")
    config = folder.build(tmp_path / "folder", model)
    asked = []

    def snapshot(name, *, revision, allow_patterns):
        asked.append(allow_patterns)
        return str(config)

    def unreachable(*told, **more):
        raise ConnectionError("no network in a test")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    whole = single.build(tmp_path / "whole.safetensors", model)
    alone = single.build(tmp_path / "alone.safetensors", model, prefix="", vae=False, encoders=False)
    for file in (whole, alone):
        locate(str(file), "owner/name")
    assert not [pattern for pattern in asked[0] if pattern.endswith(".safetensors")]
    assert {pattern for pattern in asked[1] if pattern.endswith(".safetensors")} == {
        "vae/*.safetensors", "text_encoder/*.safetensors", "text_encoder_2/*.safetensors"
    }  # fmt: skip


@says(
    COMMANDS_PAGE,
    "Where a file of Stable Diffusion 2.x does not say it, `--config` has to.",
    "A pickle (`.ckpt`) is never read; the message says how to convert it.",
)
def test_the_page_lists_what_is_shipped():
    section = COMMANDS_PAGE.read_text("utf-8").partition("### Single files")[2].partition("\n## ")[0]
    assert set(re.findall(r"\| `(.+)` \|\n", section)) - {"--config"} == set(stock.NAMES)


def test_stock_configs_are_the_published_ones():
    """Against those that the generated checkpoints are made from, written by another hand."""
    for name, kind in (("sd15", "sd1"), ("sd21", "sd2"), ("sdxl", "sdxl"), ("sdxl-v", "sdxl-v")):
        model = checkpoint(kind, "true", keep=lambda component, name: False)
        table = stock.table(name)
        for path, settings in model.settings.items():
            for key, value in settings.items():
                if key in table.get(path, {}) and not key.startswith("_"):
                    assert table[path][key] == value, (name, path, key)


def test_a_missing_file_is_swept_out_of_the_cache(tmp_path):
    config = str(folder.build(tmp_path / "folder", checkpoint("sd1")))
    file = single.build(tmp_path / "x.safetensors", checkpoint("sd1"))
    first = locate(str(file), config)
    file.unlink()
    other = single.build(tmp_path / "y.safetensors", checkpoint("sd1"))
    assert locate(str(other), config).is_dir() and not first.exists()


def test_a_link_is_called_what_it_is_called(tmp_path):
    """The hub's cache holds a file under its digest, and people know the link to it."""
    config = str(folder.build(tmp_path / "folder", checkpoint("sd1")))
    blob = single.build(tmp_path / "blobs" / "0a1b2c", checkpoint("sd1"))
    for name in ("v1-5.safetensors", "other.safetensors"):
        (tmp_path / name).symlink_to(blob)
        prepared = locate(str(tmp_path / name), config)
        assert reference.origin(prepared) == tmp_path / name
        assert reference.source(prepared) == blob.resolve()
        assert title(str(tmp_path / name)) == name


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    assert "no such file" in refusal(tmp_path / "gone.safetensors", "sd15")
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(40))
    assert "quantise again" in refusal(tmp_path / "model.gguf")
