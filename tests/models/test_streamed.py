"""An encoder that is read block by block gives the states that it gives when it is held, from the same files."""

import json
import shutil

import pytest
import torch
from random_flux import LENGTH, build
from test_flux_check import shard
from transformers import T5EncoderModel

from tracelang.models import streamed
from tracelang.models.parts import encoder
from tracelang.plan.family import ModelError
from tracelang_flux import Flux

CPU = torch.device("cpu")
BLOCKS = "encoder.block"
PROMPTS = ["a photo of a cat", "", "an dog on a red ship", "red red red red red red red red red red red red red red"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A FLUX folder whose T5 lies in two shards."""
    folder = build(tmp_path_factory.mktemp("flux") / "dev")
    shard(folder / "text_encoder_2/model.safetensors")
    return folder


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(streamed, "available", lambda place: 1000)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_streamed_states_are_the_held_ones_bit_for_bit(dtype, base, small_memory, monkeypatch):
    text = Flux().text(base, dtype=dtype)
    found = text.encode(PROMPTS).inputs
    assert streamed.is_streamed(text.paths[0].encoder)
    monkeypatch.undo()
    held = Flux().text(base, dtype=dtype)
    wanted = held.encode(PROMPTS).inputs
    assert not streamed.is_streamed(held.paths[0].encoder)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert value.equal(found[name]) and value.dtype == found[name].dtype
    assert {p.dtype for p in held.paths[0].encoder.parameters()} == {
        p.dtype for p in text.paths[0].encoder.parameters()
    }


def test_blocks_are_read_once_for_all_prompts_and_let_go(base, monkeypatch):
    reads = []
    real = streamed.Stored.__getitem__
    monkeypatch.setattr(streamed.Stored, "__getitem__", lambda self, key: (reads.append(key), real(self, key))[1])
    before = {path: path.stat().st_size for path in base.rglob("*") if path.is_file()}
    t5 = streamed.streamed(T5EncoderModel, base / "text_encoder_2", BLOCKS, CPU, torch.float32)
    assert {name for name, p in t5.named_parameters() if not p.is_meta} == {
        "shared.weight",
        "encoder.final_layer_norm.weight",
    }
    del reads[:]
    t5(input_ids=torch.randint(3, 20, (5, LENGTH)))
    blocks = {name for name, p in t5.named_parameters() if p.is_meta}
    assert sorted(reads) == sorted(blocks) and all(name.startswith(BLOCKS) for name in blocks)
    assert {path: path.stat().st_size for path in base.rglob("*") if path.is_file()} == before


def test_what_fits_into_half_the_memory_is_held(base, monkeypatch):
    folder = base / "text_encoder_2"
    size = sum(p.numel() * 4 for p in encoder(T5EncoderModel, folder, CPU, torch.float32).parameters())
    assert 2**20 < streamed.available(CPU) < 2**45
    for free, expected in ((2 * size, False), (2 * size - 1, True)):
        monkeypatch.setattr(streamed, "available", lambda place, free=free: free)
        t5 = streamed.held_or_streamed(T5EncoderModel, folder, BLOCKS, CPU, torch.float32)
        assert streamed.is_streamed(t5) == expected


def test_gradients_reach_the_embeddings_through_a_streamed_encoder(base, small_memory, monkeypatch):
    words = Flux().text(base).prompt_encoder
    ids = words.tokens(PROMPTS[:1])
    monkeypatch.undo()
    plain, grads = Flux().text(base).prompt_encoder, []
    for one in (words, plain):
        leaf = plain.table[ids].clone().requires_grad_()
        one.encode(ids, leaf).inputs["tokens"].square().sum().backward()
        grads.append(leaf.grad)
    assert grads[0].abs().max() > 0 and grads[0].equal(grads[1])


def test_a_streamed_encoder_that_lacks_a_tensor_is_refused(base, small_memory, tmp_path):
    folder = shutil.copytree(base, tmp_path / "model")
    path = folder / "text_encoder_2/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_layers": 3}))
    with pytest.raises(ModelError, match=r"block\.2"):
        Flux().text(folder).encode(["a cat"])
