"""Randomly initialised Stable Diffusion folders: `tiny` and `sd2` (Stable Diffusion 2.x's architecture) for unit tests,
`sd14` with SD 1.4's exact shapes in fp16.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tracelang.models import header

START, END = "<|startoftext|>", "<|endoftext|>"

SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.7.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
MICRO_UNET = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (64, 128),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 128,
    "attention_head_dim": (2, 4),
    "norm_num_groups": 16,
}
SD14_UNET = {
    "act_fn": "silu", "attention_head_dim": 8, "block_out_channels": (320, 640, 1280, 1280),
    "center_input_sample": False, "cross_attention_dim": 768,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
    "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip
TINY_UNET = MICRO_UNET | {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "cross_attention_dim": 16,
    "attention_head_dim": (1, 2),
    "norm_num_groups": 4,
}
SD14_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
TINY_VAE = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "mid_block_add_attention": False,
    "sample_size": 16,
}
SD14_TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "projection_dim": 768,
}
TINY_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "projection_dim": 16,
}
SECOND_UNET = TINY_UNET | {"cross_attention_dim": 24, "use_linear_projection": True}
SECOND_TEXT = TINY_TEXT | {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 3, "hidden_act": "gelu"}
"""OpenCLIP's tower as 2.x has it: its activation is `gelu`, and `!` pads."""
WORDS = ("photo", "of", "cat", "dog", "ship", "an", "truck", "red")


def build(folder: Path, *, config: Literal["tiny", "sd2", "sd14"] = "tiny", seed: int = 0) -> Path:
    """Write a complete random checkpoint into `folder` (made where missing) and return it."""
    if config == "sd14":
        _sd14(folder, seed)
    elif config == "sd2":
        _tiny(folder, seed, SECOND_UNET, SECOND_TEXT, "!")
    else:
        _tiny(folder, seed, TINY_UNET, TINY_TEXT, END)
    _json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    _json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.42.1",
            "feature_extractor": [None, None],
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "requires_safety_checker": False,
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    return folder


def _tiny(folder: Path, seed: int, unet: dict[str, Any], told: dict[str, Any], pad: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        words, merges = _words(WORDS)
        length = told["max_position_embeddings"]
        CLIPTokenizer(vocab=words, merges=merges, model_max_length=length, pad_token=pad).save_pretrained(
            folder / "tokenizer"
        )
        ends = {"bos_token_id": words[START], "eos_token_id": words[END], "pad_token_id": words[pad]}
        text = CLIPTextModel(CLIPTextConfig(vocab_size=len(words), **ends, **told))
        with torch.no_grad():
            for parameter in text.parameters():  # the library's 0.02 would make all prompts look alike
                parameter.mul_(5.0 if parameter.ndim > 1 else 1.0)
        text.save_pretrained(folder / "text_encoder")
        UNet2DConditionModel(**unet).save_pretrained(folder / "unet")
        AutoencoderKL(**TINY_VAE).save_pretrained(folder / "vae")


def _sd14(folder: Path, seed: int) -> None:
    """The files as SD 1.4 has them: halves, `text_model.` names, a tokenizer of vocab.json and merges.txt."""
    with torch.device("meta"):
        parts: dict[str, tuple[torch.nn.Module, str, dict[str, Any], str]] = {
            "unet": (
                UNet2DConditionModel(**SD14_UNET),
                "diffusion_pytorch_model",
                {"_class_name": "UNet2DConditionModel"} | SD14_UNET,
                "",
            ),
            "vae": (
                AutoencoderKL(**SD14_VAE),
                "diffusion_pytorch_model",
                {"_class_name": "AutoencoderKL"} | SD14_VAE,
                "",
            ),
            "text_encoder": (
                CLIPTextModel(CLIPTextConfig(**SD14_TEXT)),
                "model",
                {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"} | SD14_TEXT,
                "text_model.",
            ),
        }
    for name, (module, stem, config, prefix) in parts.items():
        _json(folder / name / "config.json", config)
        shapes = {prefix + key: tuple(value.shape) for key, value in sorted(module.state_dict().items())}
        table = {key: ("F16", shape) for key, shape in shapes.items()}
        header.write(folder / name / f"{stem}.safetensors", table, _halves(shapes, seed), {"format": "pt"})
    words, merges = _words(WORDS, SD14_TEXT["vocab_size"])
    _json(folder / "tokenizer" / "vocab.json", words)
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "tokenizer" / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _json(
        folder / "tokenizer" / "tokenizer_config.json",
        {
            "bos_token": START,
            "eos_token": END,
            "unk_token": END,
            "pad_token": END,
            "model_max_length": 77,
            "do_lower_case": True,
            "tokenizer_class": "CLIPTokenizer",
        },
    )


def _halves(shapes: dict[str, tuple[int, ...]], seed: int) -> Iterator[bytes]:
    """Random halves for each shape, one tensor at a time, scaled by fan-in; norms are ones. From one pool of noise."""
    pool = torch.randn(1 << 22, generator=torch.Generator().manual_seed(seed))
    for i, (name, shape) in enumerate(shapes.items()):
        count = math.prod(shape)
        if len(shape) == 1:
            tensor = torch.full(shape, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            rolled = pool.roll(7919 * i)
            tensor = rolled.repeat(-(-count // len(pool)))[:count] / math.sqrt(math.prod(shape[1:]))
        yield tensor.half().numpy().tobytes()


def _words(whole: tuple[str, ...], size: int | None = None) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level BPE vocabulary that knows `whole` as single tokens, filled up to `size`, and its merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[tuple[str, str], None] = {}
    for word in whole:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            merges[pieces[0], pieces[1]] = None
            pieces[:2] = ["".join(pieces[:2])]
    table = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters), *("".join(m) for m in merges)])
    if size:
        spare = (pair for pair in product(letters[::-1], repeat=2) if "".join(pair) not in table)
        extra = list(islice(spare, size - 2 - len(table)))
        merges |= dict.fromkeys(extra)
        table |= dict.fromkeys("".join(pair) for pair in extra)
    return {word: i for i, word in enumerate([*table, START, END])}, list(merges)


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
