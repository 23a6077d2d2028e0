"""Randomly initialised Stable Diffusion XL folders for unit tests, and SDXL's own UNet config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.random_sd import END, SECOND_TEXT, START, TINY_TEXT, TINY_UNET, TINY_VAE, WORDS, _words

SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.19.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "use_karras_sigmas": False,
}
V_SCHEDULER = SCHEDULER | {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
"""Of derivatives that predict v down to a signal of nothing."""
SDXL_UNET = {
    "act_fn": "silu", "addition_embed_type": "text_time", "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
    "class_embed_type": None, "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "downsample_padding": 1,
    "dual_cross_attention": False, "encoder_hid_dim": None, "encoder_hid_dim_type": None, "flip_sin_to_cos": True,
    "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-05, "norm_num_groups": 32, "only_cross_attention": False, "out_channels": 4,
    "projection_class_embeddings_input_dim": 2816, "sample_size": 128, "time_cond_proj_dim": None,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "use_linear_projection": True,
}  # fmt: skip
PROJECTED = 20
"""Width of the tiny model's pooled state."""
TINY_SDXL_UNET = TINY_UNET | {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": PROJECTED + 6 * 8,
    "cross_attention_dim": TINY_TEXT["hidden_size"] + SECOND_TEXT["hidden_size"],
    "transformer_layers_per_block": (1, 2),
    "use_linear_projection": True,
}
INDEX = {
    "_class_name": "StableDiffusionXLPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "force_zeros_for_empty_prompt": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def build(
    folder: Path,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    scheduler: dict[str, Any] = SCHEDULER,
    index: dict[str, Any] = INDEX,
) -> Path:
    """Write a complete random checkpoint of some 100,000 UNet parameters into `folder` and return it."""
    words, merges = _words(WORDS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ends = {"bos_token_id": words[START], "eos_token_id": words[END], "vocab_size": len(words)}
        first = CLIPTextModel(CLIPTextConfig(**ends, **TINY_TEXT, pad_token_id=words[END]))
        told = SECOND_TEXT | {"projection_dim": PROJECTED, "pad_token_id": words["!"]}
        second = CLIPTextModelWithProjection(CLIPTextConfig(**ends, **told))
        unet, vae = UNet2DConditionModel(**TINY_SDXL_UNET), AutoencoderKL(**TINY_VAE, scaling_factor=0.13025)
        with torch.no_grad():
            for text in (first, second):
                for parameter in text.parameters():  # the library's 0.02 would make all prompts look alike
                    parameter.mul_(5.0 if parameter.ndim > 1 else 1.0)
                final = getattr(text, "text_model", text).final_layer_norm
                final.weight.uniform_(0.5, 2.0)  # or it would hardly matter whether it is left out
            unet.add_embedding.linear_1.weight[:, PROJECTED:].mul_(torch.tensor([1.0, 0.0, -0.0, 1.0]).repeat(12))
            unet.add_embedding.linear_1.weight[:, ::7].mul_(-0.0)  # zeros of either sign, in both kinds of columns
    parts = {"text_encoder": first, "text_encoder_2": second, "unet": unet, "vae": vae}
    for name, part in parts.items():
        part.to(dtype).save_pretrained(folder / name)
    for name, pad in {"tokenizer": END, "tokenizer_2": "!"}.items():
        length = TINY_TEXT["max_position_embeddings"]
        made = CLIPTokenizer(vocab=dict(words), merges=list(merges), model_max_length=length, pad_token=pad)
        made.save_pretrained(folder / name)
    for name, table in {"scheduler/scheduler_config": scheduler, "model_index": index}.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(table), encoding="utf-8")
    return folder
