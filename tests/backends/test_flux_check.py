"""A folder that lies is refused before any work, in one line that names the file; shards count like one file."""

import json
import shutil
import struct
from pathlib import Path

import pytest
from random_flux import build

from tracelang.models import header
from tracelang.plan.family import ModelError
from tracelang_flux import Flux

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
T5 = "text_encoder_2/model.safetensors"
STREAM = "transformer_blocks.1.attn.add_k_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture
def folder(base, tmp_path):
    return Path(shutil.copytree(base, tmp_path / "model"))


def edit_json(**values):
    def fault(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return fault


def edit_header(change):
    def fault(path: Path) -> None:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        table = json.loads(data[8 : 8 + length])
        change(table)
        text = json.dumps(table).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return fault


def lose(name):
    return edit_header(lambda table: table.update({name + "x": table.pop(name)}))


def pickle(path: Path) -> None:
    path.rename(path.with_suffix(".bin"))


FAULTS = {
    "truncated": (WEIGHTS, lambda p: p.write_bytes(p.read_bytes()[:-100]), "data"),
    "a matrix missing": (WEIGHTS, lose(f"{STREAM}.weight"), f"{STREAM}.weight"),
    "a bias missing": (WEIGHTS, lose(f"{STREAM}.bias"), f"{STREAM}.bias"),
    "a matrix misshapen": (WEIGHTS, edit_header(lambda t: t["context_embedder.weight"].update(shape=[24, 16])), "24"),
    "guidance missing": (WEIGHTS, lose("time_text_embed.guidance_embedder.linear_1.weight"), "guidance_embedder"),
    "pickle": (WEIGHTS, pickle, "pickle"),
    "no T5": (T5, Path.unlink, "safetensors"),
    "T5 truncated": (T5, lambda p: p.write_bytes(p.read_bytes()[:40]), "truncated"),
    "no CLIP": ("text_encoder/model.safetensors", Path.unlink, "safetensors"),
    "no VAE": ("vae/config.json", Path.unlink, "missing"),
    "config no JSON": ("transformer/config.json", lambda p: p.write_bytes(b"\xff{"), "JSON"),
    "another transformer": ("transformer/config.json", edit_json(_class_name="SD3Transformer2DModel"), "SD3"),
    "another width of T5": ("transformer/config.json", edit_json(joint_attention_dim=32), "text_encoder_2"),
    "another width of CLIP": ("transformer/config.json", edit_json(pooled_projection_dim=32), "width 32"),
    "another depth": ("transformer/config.json", edit_json(num_single_layers=3), "lack"),
    "not distilled": ("transformer/config.json", edit_json(guidance_embeds=False), "guidance"),
    "fills in pictures": ("transformer/config.json", edit_json(in_channels=96, out_channels=16), "not supported"),
    "another encoder": ("text_encoder_2/config.json", edit_json(model_type="umt5"), "umt5"),
    "another vocabulary": ("text_encoder_2/config.json", edit_json(vocab_size=7), "shared"),
    "no latents": ("vae/config.json", edit_json(latent_channels=None), "lacks"),
    "no widths": ("vae/config.json", edit_json(block_out_channels=[]), "widths"),
    "no scheduler": ("scheduler/scheduler_config.json", Path.unlink, "missing"),
    "another scheduler": ("scheduler/scheduler_config.json", edit_json(_class_name="DDIMScheduler"), "DDIM"),
    "no tokenizer": ("tokenizer_2/tokenizer.json", Path.unlink, "spiece"),
    "no index": ("model_index.json", Path.unlink, "missing"),
    "custom component": ("model_index.json", edit_json(transformer=["my_code", "X"]), "my_code"),
    "another pipeline": ("model_index.json", edit_json(_class_name="FluxFillPipeline"), "FluxFill"),
    "guidance no number": ("vae/../tracelang.json", lambda p: p.write_text('{"guidance": "high"}'), "guidance"),
    "size no number": ("vae/../tracelang.json", lambda p: p.write_text('{"size": 0}'), "size"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_refused_in_one_line(fault, folder):
    file, break_it, word = FAULTS[fault]
    Flux().check(folder)
    break_it(folder / file)
    with pytest.raises(ModelError) as caught:
        Flux().check(folder)
    message = str(caught.value)
    assert word in message and str(folder) in message and "\n" not in message and len(message) < 500


def test_a_tensor_outside_the_sites_that_is_missing_is_found_at_loading(folder):
    lose("norm_out.linear.weight")(folder / WEIGHTS)
    Flux().check(folder)
    with pytest.raises(ModelError, match=r"norm_out\.linear\.weight"):
        Flux().load(folder)


def shard(whole: Path) -> dict:
    """Cut one weights file into two, with an index, as FLUX.1 is published."""
    tensors, data = header.read(whole).tensors, whole.read_bytes()
    names, stem = list(tensors), whole.name.removesuffix(".safetensors")
    parts = {f"{stem}-00001-of-00002.safetensors": names[::2], f"{stem}-00002-of-00002.safetensors": names[1::2]}
    for file, part in parts.items():
        table = {name: (tensors[name].dtype, tensors[name].shape) for name in part}
        header.write(
            whole.with_name(file), table, (data[tensors[n].begin : tensors[n].end] for n in part), {"format": "pt"}
        )
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps(index))
    whole.unlink()
    return index


def test_shards_of_transformer_and_t5_are_one_model(base, folder):
    index = shard(folder / WEIGHTS)
    shard(folder / T5)
    Flux().check(folder)
    before, after = Flux().load(base), Flux().load(folder)
    for one, other in ((before.denoiser, after.denoiser), (before.paths[0].encoder, after.paths[0].encoder)):
        for name, value in one.state_dict().items():
            assert value.equal(other.state_dict()[name])
    index["weight_map"][f"{STREAM}.weight"] = "../../elsewhere.safetensors"
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="index"):
        Flux().check(folder)


def test_a_shard_that_lacks_what_its_index_promises_is_refused(folder):
    shard(folder / WEIGHTS)
    for part in (folder / "transformer").glob("*.safetensors"):
        if f"{STREAM}.weight" in header.read(part).tensors:
            lose(f"{STREAM}.weight")(part)
    with pytest.raises(ModelError, match="shards again"):
        Flux().check(folder)
