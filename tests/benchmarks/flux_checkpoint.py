"""A checkpoint in FLUX.1-dev's exact layout: `python -m tests.benchmarks.flux_checkpoint FOLDER GB RECIPE CACHE`.

Names, shapes, shards and headers are true, of all components. The first GB gigabytes of the transformer are random
numbers; everything beyond is a hole in a sparse file, which reads as zeros. The tokenizers are small ones: no real
vocabulary is at hand; the encoders' tables are of the true sizes. CACHE is filled with random states of every prompt of
the recipe, in T5-XXL's and CLIP's shapes and by the cache's own writer: without real weights there are no real states.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel

import tracelang
from tests.layouts.states import fill
from tracelang_flux import Flux

sys.path.insert(0, str(Path(__file__).parents[1]))

from random_flux import DEV_TRANSFORMER, DEV_VAE, dev_configs, unigram
from random_sd import SD14_TEXT, WORDS, _words

T5 = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "vocab_size": 32128,
    "feed_forward_proj": "gated-gelu",
    "is_encoder_decoder": False,
    "use_cache": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
SHARD = {"transformer": 10 * 10**9, "text_encoder_2": 5 * 10**9}
"""Bytes in a shard at most, where there are shards."""
CHUNK = 1 << 26

Shapes = dict[str, tuple[int, ...]]


def build(folder: Path, real: int) -> Path:
    """Write the checkpoint; `real` bytes of the transformer are random numbers."""
    dev_configs(folder)
    with torch.device("meta"):
        clip = CLIPTextModel(CLIPTextConfig(**SD14_TEXT))
        parts: dict[str, tuple[nn.Module, str, str]] = {
            "transformer": (FluxTransformer2DModel(**_known(DEV_TRANSFORMER)), "diffusion_pytorch_model", ""),
            "vae": (AutoencoderKL(**_known(DEV_VAE)), "diffusion_pytorch_model", ""),
            "text_encoder": (clip, "model", "text_model."),
            "text_encoder_2": (T5EncoderModel(T5Config(**T5)), "model", ""),
        }
    for name, (module, stem, prefix) in parts.items():
        shapes = {prefix + key: tuple(value.shape) for key, value in module.state_dict().items()}
        shapes.pop("encoder.embed_tokens.weight", None)  # it is `shared.weight`
        real -= _weights(folder / name, stem, shapes, SHARD.get(name), real if name == "transformer" else 0)
    clip.config.save_pretrained(folder / "text_encoder")
    T5Config(**T5, architectures=["T5EncoderModel"]).save_pretrained(folder / "text_encoder_2")
    words, merges = _words(WORDS, SD14_TEXT["vocab_size"])
    CLIPTokenizer(vocab=words, merges=merges, model_max_length=77).save_pretrained(folder / "tokenizer")
    pieces = unigram()
    pieces.model_max_length = 512
    pieces.save_pretrained(folder / "tokenizer_2")
    return folder


def _known(config: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _weights(component: Path, stem: str, shapes: Shapes, most: int | None, real: int) -> int:
    """A component's tensors in bfloat16, in one file or in shards; returns how many real bytes it took."""
    groups, size = [Shapes()], 0
    for name, shape in shapes.items():
        size += 2 * math.prod(shape)
        if most and size > most:
            groups.append({})
            size = 2 * math.prod(shape)
        groups[-1][name] = shape
    names = [f"{stem}-{i:05}-of-{len(groups):05}.safetensors" for i in range(1, len(groups) + 1)]
    if most is None:
        names = [f"{stem}.safetensors"]
    taken = 0
    for file, group in zip(names, groups, strict=True):
        taken += _sparse(component / file, group, real - taken)
    if most is not None:
        table = {name: file for file, group in zip(names, groups, strict=True) for name in group}
        total = sum(2 * math.prod(shape) for shape in shapes.values())
        index = {"metadata": {"total_size": total}, "weight_map": table}
        (component / f"{stem}.safetensors.index.json").write_text(json.dumps(index))
    return taken


def _sparse(file: Path, shapes: Shapes, real: int) -> int:
    """A safetensors file whose first `real` bytes are numbers in (-2, 2), the rest a hole; returns how many it took."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table, position = {}, 0
    for name, shape in shapes.items():
        table[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, position + 2 * math.prod(shape)]}
        position += 2 * math.prod(shape)
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    taken = min(max(real, 0), position)
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        for block in _numbers(taken):
            opened.write(block)
        opened.truncate(8 + len(text) + position)
    return taken


def _numbers(count: int) -> Iterator[bytes]:
    rng = np.random.Generator(np.random.SFC64(0))
    while count > 0:
        size = min(CHUNK, count)
        bits = rng.integers(0, 1 << 16, size // 2, np.uint16)
        yield (bits & 0xBFFF).tobytes()
        count -= size


if __name__ == "__main__":
    built, recipe, kept = build(Path(sys.argv[1]), int(float(sys.argv[2]) * 1e9)), Path(sys.argv[3]), Path(sys.argv[4])
    fill(Flux().text(built, cache=kept), tracelang.compile(recipe))
