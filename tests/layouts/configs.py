"""What each kind of model is: the JSON files of its folder, as published and in small.

True configs are those of Stable Diffusion 1.5 and 2.1, SDXL base 1.0, its refiner, FLUX.1-dev and FLUX.1-schnell. The
small ones keep what decides names and paths (block types, linear or convolutional projections, two encoders, the added
embedding) and shrink numbers. SD 2.x is told by states of width 1024, so its small one keeps that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Size = Literal["tiny", "true"]
Config = dict[str, Any]

VERSION = {"_diffusers_version": "0.21.0"}
_SCHEDULE = VERSION | {
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False,
    "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
    "trained_betas": None,
}  # fmt: skip
PNDM = {"_class_name": "PNDMScheduler"} | _SCHEDULE
DDIM_V = {"_class_name": "DDIMScheduler"} | _SCHEDULE | {"prediction_type": "v_prediction"}
EULER = {"_class_name": "EulerDiscreteScheduler"} | _SCHEDULE | {
    "interpolation_type": "linear", "prediction_type": "epsilon", "timestep_spacing": "leading",
    "use_karras_sigmas": False, "sample_max_value": 1.0,
}  # fmt: skip
EULER_V = EULER | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"} | VERSION | {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
    "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True,
}  # fmt: skip

CROSS, PLAIN, UP, PLAIN_UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
_UNET = {"_class_name": "UNet2DConditionModel"} | VERSION | {
    "act_fn": "silu", "center_input_sample": False, "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0,
    "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32,
    "out_channels": 4,
}  # fmt: skip
_FOUR = {
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": [CROSS, CROSS, CROSS, PLAIN],
    "up_block_types": [PLAIN_UP, UP, UP, UP],
}
SD1_UNET = _UNET | _FOUR | {"attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64}
SD2_UNET = _UNET | _FOUR | {
    "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "dual_cross_attention": False,
    "num_class_embeds": None, "only_cross_attention": False, "sample_size": 96, "upcast_attention": True,
    "use_linear_projection": True,
}  # fmt: skip
SDXL_UNET = _UNET | {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048, "down_block_types": [PLAIN, CROSS, CROSS],
    "projection_class_embeddings_input_dim": 2816, "sample_size": 128, "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": [UP, UP, PLAIN_UP], "use_linear_projection": True, "upcast_attention": None,
}  # fmt: skip
REFINER_UNET = SDXL_UNET | {
    "attention_head_dim": [6, 12, 24, 24], "block_out_channels": [384, 768, 1536, 1536], "cross_attention_dim": 1280,
    "down_block_types": [PLAIN, CROSS, CROSS, PLAIN], "projection_class_embeddings_input_dim": 2560,
    "transformer_layers_per_block": 4, "up_block_types": [PLAIN_UP, UP, UP, PLAIN_UP],
}  # fmt: skip
_SMALL = {
    "block_out_channels": [8, 16],
    "down_block_types": [CROSS, PLAIN],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 8,
    "up_block_types": [PLAIN_UP, UP],
}
TINY_SD1_UNET = SD1_UNET | _SMALL | {"attention_head_dim": 2, "cross_attention_dim": 16}
TINY_SD2_UNET = SD2_UNET | _SMALL | {"attention_head_dim": [1, 2]}
TINY_SDXL_UNET = SDXL_UNET | _SMALL | {
    "addition_time_embed_dim": 8, "attention_head_dim": [1, 2], "cross_attention_dim": 40,
    "down_block_types": [PLAIN, CROSS], "projection_class_embeddings_input_dim": 72,
    "transformer_layers_per_block": [1, 2], "up_block_types": [UP, PLAIN_UP],
}  # fmt: skip
TINY_REFINER_UNET = TINY_SDXL_UNET | {"cross_attention_dim": 24, "projection_class_embeddings_input_dim": 64}

_VAE = {"_class_name": "AutoencoderKL"} | VERSION | {
    "act_fn": "silu", "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
    "sample_size": 512, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip
SD1_VAE = _VAE
SD2_VAE = _VAE | {"sample_size": 768, "scaling_factor": 0.18215}
SDXL_VAE = _VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}
FLUX_VAE = _VAE | {
    "latent_channels": 16, "sample_size": 1024, "scaling_factor": 0.3611, "shift_factor": 0.1159,
    "use_quant_conv": False, "use_post_quant_conv": False,
}  # fmt: skip
_SMALL_VAE = {
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 16,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
}

_CLIP = {
    "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 2,
    "hidden_act": "quick_gelu", "hidden_size": 768, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12,
    "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768, "vocab_size": 49408,
}  # fmt: skip
CLIP_L = _CLIP
CLIP_H = _CLIP | {
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512,
}
CLIP_G = _CLIP | {
    "architectures": ["CLIPTextModelWithProjection"], "hidden_act": "gelu", "hidden_size": 1280,
    "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32, "projection_dim": 1280,
}  # fmt: skip
_SMALL_CLIP = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "projection_dim": 16,
    "vocab_size": 0,
}
"""`vocab_size` 0: that of the tokenizer."""
TINY_CLIP_L = CLIP_L | _SMALL_CLIP
TINY_CLIP_H = CLIP_H | _SMALL_CLIP | {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 1}
TINY_CLIP_G = CLIP_G | _SMALL_CLIP | {"hidden_size": 24, "num_attention_heads": 3, "projection_dim": 24}
T5_XXL = {
    "architectures": ["T5EncoderModel"], "d_ff": 10240, "d_kv": 64, "d_model": 4096, "dropout_rate": 0.1,
    "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06,
    "model_type": "t5", "num_heads": 64, "num_layers": 24, "pad_token_id": 0, "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32, "tie_word_embeddings": False, "use_cache": True, "vocab_size": 32128,
}  # fmt: skip
TINY_T5 = T5_XXL | {"d_ff": 32, "d_kv": 8, "d_model": 24, "num_heads": 3, "num_layers": 2, "vocab_size": 0}

DEV = {"_class_name": "FluxTransformer2DModel"} | VERSION | {
    "attention_head_dim": 128, "guidance_embeds": True, "in_channels": 64, "joint_attention_dim": 4096,
    "num_attention_heads": 24, "num_layers": 19, "num_single_layers": 38, "patch_size": 1,
    "pooled_projection_dim": 768,
}  # fmt: skip
TINY_DEV = DEV | {
    "attention_head_dim": 8, "axes_dims_rope": [2, 2, 4], "in_channels": 16, "joint_attention_dim": 24,
    "num_attention_heads": 2, "num_layers": 2, "num_single_layers": 2, "pooled_projection_dim": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of model: the pipeline's class, its components (library, class, config true and tiny) and its switches."""

    pipeline: str
    parts: dict[str, tuple[str, str, Config, Config]]
    scheduler: Config
    tokenizers: dict[str, str]
    """By folder: the padding token of a CLIP tokenizer, or `"t5"`."""
    switches: Config
    length: int = 512
    """Of T5's states, which its tokenizer says."""


_UNET_CLASS, _KL = ("diffusers", "UNet2DConditionModel"), ("diffusers", "AutoencoderKL")
_TEXT, _PROJECTED = ("transformers", "CLIPTextModel"), ("transformers", "CLIPTextModelWithProjection")
END, BANG = "<|endoftext|>", "!"


def _vae(config: Config, tiny: Config) -> tuple[str, str, Config, Config]:
    return (*_KL, config, config | _SMALL_VAE | tiny)


SD1 = Kind(
    "StableDiffusionPipeline",
    {
        "text_encoder": (*_TEXT, CLIP_L, TINY_CLIP_L),
        "unet": (*_UNET_CLASS, SD1_UNET, TINY_SD1_UNET),
        "vae": _vae(SD1_VAE, {}),
    },
    PNDM,
    {"tokenizer": END},
    {"feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False},
)
SD2 = Kind(
    "StableDiffusionPipeline",
    {
        "text_encoder": (*_TEXT, CLIP_H, TINY_CLIP_H),
        "unet": (*_UNET_CLASS, SD2_UNET, TINY_SD2_UNET),
        "vae": _vae(SD2_VAE, {}),
    },
    DDIM_V,
    {"tokenizer": BANG},
    SD1.switches,
)
SDXL = Kind(
    "StableDiffusionXLPipeline",
    {
        "text_encoder": (*_TEXT, CLIP_L, TINY_CLIP_L),
        "text_encoder_2": (*_PROJECTED, CLIP_G, TINY_CLIP_G),
        "unet": (*_UNET_CLASS, SDXL_UNET, TINY_SDXL_UNET),
        "vae": _vae(SDXL_VAE, {}),
    },
    EULER,
    {"tokenizer": END, "tokenizer_2": BANG},
    {"force_zeros_for_empty_prompt": True},
)
SDXL_V = Kind(SDXL.pipeline, SDXL.parts, EULER_V, SDXL.tokenizers, SDXL.switches)
REFINER = Kind(
    "StableDiffusionXLImg2ImgPipeline",
    {
        "text_encoder_2": (*_PROJECTED, CLIP_G, TINY_CLIP_G),
        "unet": (*_UNET_CLASS, REFINER_UNET, TINY_REFINER_UNET),
        "vae": _vae(SDXL_VAE, {}),
    },
    EULER,
    {"tokenizer_2": BANG},
    {
        "force_zeros_for_empty_prompt": False,
        "requires_aesthetics_score": True,
        "text_encoder": [None, None],
        "tokenizer": [None, None],
    },
)
_FLUX_PARTS = {
    "text_encoder": (*_TEXT, CLIP_L, TINY_CLIP_L),
    "text_encoder_2": ("transformers", "T5EncoderModel", T5_XXL, TINY_T5),
    "transformer": ("diffusers", "FluxTransformer2DModel", DEV, TINY_DEV),
    "vae": _vae(FLUX_VAE, {"latent_channels": 4}),
}
FLUX_DEV = Kind("FluxPipeline", _FLUX_PARTS, FLOW, {"tokenizer": END, "tokenizer_2": "t5"}, {})
_UNTOLD = {"guidance_embeds": False}
FLUX_SCHNELL = Kind(
    "FluxPipeline",
    _FLUX_PARTS | {"transformer": ("diffusers", "FluxTransformer2DModel", DEV | _UNTOLD, TINY_DEV | _UNTOLD)},
    FLOW | {"shift": 1.0, "use_dynamic_shifting": False},
    FLUX_DEV.tokenizers,
    {},
    256,
)
KINDS = {
    "sd1": SD1,
    "sd2": SD2,
    "sdxl": SDXL,
    "sdxl-v": SDXL_V,
    "refiner": REFINER,
    "flux-dev": FLUX_DEV,
    "flux-schnell": FLUX_SCHNELL,
}
