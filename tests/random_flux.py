"""Randomly initialised FLUX folders for unit tests, in dev's layout and in schnell's, and FLUX.1-dev's own configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from tests.layouts.configs import DEV as DEV_TRANSFORMER
from tests.layouts.configs import FLOW as SCHEDULER
from tests.layouts.configs import FLUX_VAE as DEV_VAE
from tests.random_sd import END, START, TINY_TEXT, TINY_VAE, WORDS, _words

SCHNELL_SCHEDULER = SCHEDULER | {"shift": 1.0, "use_dynamic_shifting": False}
TINY_TRANSFORMER = {
    "patch_size": 1,
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "axes_dims_rope": (2, 2, 4),
    "joint_attention_dim": 24,
    "pooled_projection_dim": 16,
}
TINY_T5 = {
    "d_model": 24,
    "d_kv": 8,
    "num_heads": 3,
    "d_ff": 32,
    "num_layers": 2,
    "dropout_rate": 0.0,
    "feed_forward_proj": "gated-gelu",
    "is_encoder_decoder": False,
    "use_cache": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
LENGTH = 14
"""Of T5's states."""
FLUX_VAE = TINY_VAE | {"sample_size": 16, "scaling_factor": 0.7, "shift_factor": 0.2}
"""16 pixels: 8×8 latents, 16 tokens."""
INDEX = {
    "_class_name": "FluxPipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def build(folder: Path, *, layout: Literal["dev", "schnell"] = "dev", seed: int = 0) -> Path:
    """Write a complete random checkpoint of some 30,000 parameters into `folder` and return it."""
    dev = layout == "dev"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        words, merges = _words(WORDS)
        length = TINY_TEXT["max_position_embeddings"]
        clip_tokenizer = CLIPTokenizer(vocab=words, merges=merges, model_max_length=length)
        ends = {"bos_token_id": words[START], "eos_token_id": words[END], "pad_token_id": words[END]}
        clip = CLIPTextModel(CLIPTextConfig(vocab_size=len(words), **ends, **TINY_TEXT))
        t5_tokenizer = unigram()
        t5 = T5EncoderModel(T5Config(vocab_size=len(t5_tokenizer) + 3, **TINY_T5))
        transformer = FluxTransformer2DModel(**TINY_TRANSFORMER, guidance_embeds=dev)
        vae = AutoencoderKL(**FLUX_VAE)
        with torch.no_grad():
            for parameter in clip.parameters():  # the library's 0.02 would make all prompts look alike
                parameter.mul_(5.0 if parameter.ndim > 1 else 1.0)
            for name, parameter in transformer.named_parameters():
                if name.endswith("bias"):  # FLUX.1's are not zero, and an edit must leave them alone
                    parameter.normal_(std=0.1)
        for name, part in {
            "tokenizer": clip_tokenizer,
            "text_encoder": clip,
            "tokenizer_2": t5_tokenizer,
            "text_encoder_2": t5,
            "transformer": transformer,
            "vae": vae,
        }.items():
            part.save_pretrained(folder / name)
    _json(folder / "scheduler" / "scheduler_config.json", SCHEDULER if dev else SCHNELL_SCHEDULER)
    _json(folder / "model_index.json", INDEX)
    return folder


def dev_configs(folder: Path) -> Path:
    """FLUX.1-dev as far as JSON files go: no weights at all."""
    files = {
        "model_index": INDEX,
        "transformer/config": DEV_TRANSFORMER,
        "vae/config": DEV_VAE,
        "scheduler/scheduler_config": SCHEDULER,
        "tokenizer_2/tokenizer_config": {"model_max_length": 512},
    }
    for name, value in files.items():
        _json(folder / f"{name}.json", value)
    return folder


def unigram() -> T5TokenizerFast:
    """A SentencePiece vocabulary that knows `WORDS` whole and spells the rest."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.'-"
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in (*WORDS, "a")]
    pieces += [(letter, -8.0) for letter in letters]
    return T5TokenizerFast(
        vocab=pieces, extra_ids=0, model_max_length=LENGTH, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
