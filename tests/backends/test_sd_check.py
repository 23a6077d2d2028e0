"""A folder that lies is refused before any work, in one line that names the file."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from tracelang.models import header
from tracelang.plan.family import ModelError
from tracelang_sd import StableDiffusion

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
KEY = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def rewrite_header(change):
    def fault(path: Path) -> None:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        table = json.loads(data[8 : 8 + length])
        change(table)
        text = json.dumps(table).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return fault


def rename(table):
    table[KEY + "x"] = table.pop(KEY)


def reshape(table):
    table[KEY]["shape"] = table[KEY]["shape"] + [1]


def edit_json(**values):
    def fault(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return fault


def pickle(path: Path) -> None:
    path.unlink()
    path.with_name("diffusion_pytorch_model.bin").write_bytes(b"\x80\x02")


FAULTS = {
    "truncated": (UNET, truncate, "data"),
    "header only": (UNET, lambda p: p.write_bytes(p.read_bytes()[:50]), "truncated"),
    "empty": (TEXT, lambda p: p.write_bytes(b""), "truncated"),
    "tensor missing": (UNET, rewrite_header(rename), KEY),
    "tensor misshapen": (UNET, rewrite_header(reshape), KEY),
    "pickle": (UNET, pickle, "pickle"),
    "no weights": (TEXT, Path.unlink, "safetensors"),
    "no config": ("vae/config.json", Path.unlink, "missing"),
    "config no JSON": ("unet/config.json", lambda p: p.write_bytes(b"\xff{"), "JSON"),
    "config a list": ("unet/config.json", lambda p: p.write_text("[]"), "JSON"),
    "another unet": ("unet/config.json", edit_json(_class_name="UNet3DConditionModel"), "UNet3D"),
    "classes for a unet": ("unet/config.json", edit_json(_class_name=["UNet2DConditionModel"]), "not UNet2D"),
    "another width": ("unet/config.json", edit_json(cross_attention_dim=24), "width"),
    "another depth": ("unet/config.json", edit_json(layers_per_block=2), "lack"),
    "inpainting": ("unet/config.json", edit_json(in_channels=9), "inpainting"),
    "channels no number": ("unet/config.json", edit_json(in_channels="4"), "differ in channels"),
    "another encoder": ("text_encoder/config.json", edit_json(model_type="t5"), "t5"),
    "no vocabulary": ("text_encoder/config.json", edit_json(vocab_size=7), "embedding"),
    "no scheduler": ("scheduler/scheduler_config.json", Path.unlink, "missing"),
    "no tokenizer": ("tokenizer/tokenizer.json", Path.unlink, "vocab.json"),
    "no index": ("model_index.json", Path.unlink, "missing"),
    "custom component": ("model_index.json", edit_json(unet=["my_code", "UNet"]), "my_code"),
    "component of two": ("model_index.json", edit_json(vae=["diffusers", ["AutoencoderKL", {}]]), "vae is"),
    "another pipeline": ("model_index.json", edit_json(_class_name="StableDiffusionXLPipeline"), "XL"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_refused_in_one_line(fault, tiny, tmp_path):
    file, break_it, word = FAULTS[fault]
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    StableDiffusion().check(folder)
    break_it(folder / file)
    with pytest.raises(ModelError) as caught:
        StableDiffusion().check(folder)
    message = str(caught.value)
    assert word in message and str(folder) in message and "\n" not in message and len(message) < 500


def test_a_tensor_outside_the_sites_that_is_missing_is_found_at_loading(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    lose = rewrite_header(lambda table: table.update(elsewhere=table.pop("time_embedding.linear_1.bias")))
    lose(folder / UNET)
    StableDiffusion().check(folder)
    with pytest.raises(ModelError, match=r"time_embedding\.linear_1\.bias"):
        StableDiffusion().load(folder)


def test_a_file_that_only_the_library_finds_fault_with_is_one_line(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    size = (folder / UNET).stat().st_size

    def overflow(table):
        end = max(row["data_offsets"][1] for name, row in table.items() if name != "__metadata__")
        table["more"] = {"dtype": "F32", "shape": [2**40, 2**40, 0], "data_offsets": [end, end]}

    rewrite_header(overflow)(folder / UNET)
    assert (folder / UNET).stat().st_size > size
    StableDiffusion().check(folder)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        StableDiffusion().load(folder)
    assert "\n" not in str(caught.value)


def test_variants_and_shards_are_found(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    whole = folder / UNET
    tensors, data = header.read(whole).tensors, whole.read_bytes()
    names = list(tensors)
    parts = {
        "diffusion_pytorch_model-00001-of-00002.safetensors": names[:50],
        "diffusion_pytorch_model-00002-of-00002.safetensors": names[50:],
    }
    for file, part in parts.items():
        table = {name: (tensors[name].dtype, tensors[name].shape) for name in part}
        header.write(whole.with_name(file), table, (data[tensors[n].begin : tensors[n].end] for n in part))
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    whole.unlink()
    (folder / TEXT).rename(folder / "text_encoder/model.fp16.safetensors")
    StableDiffusion().check(folder)
    before, after = StableDiffusion().load(tiny), StableDiffusion().load(folder)
    for name, value in before.denoiser.state_dict().items():
        assert value.equal(after.denoiser.state_dict()[name])
    for elsewhere in ("../../elsewhere.safetensors", "\0.safetensors", "\ud800.safetensors"):
        index["weight_map"][names[0]] = elsewhere
        (folder / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(ModelError, match="index"):
            StableDiffusion().check(folder)
