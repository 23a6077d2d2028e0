"""diffusers' own converters, the other way: from the original names to diffusers'. Judges `ldm` and `bfl`."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType, SimpleNamespace

import torch
from diffusers.loaders import single_file_utils as theirs

from tests.layouts.checkpoint import Checkpoint
from tests.layouts.single import INSIDE
from tests.layouts.tensors import Tensors

TORCH = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
WIDTH = 3072
"""Of FLUX.1, which diffusers' converter takes every transformer to have."""


def in_torch(tensors: Tensors, values: bool = True) -> dict[str, torch.Tensor]:
    """The tensors as torch has them; without `values` on the meta device."""
    if not values:
        return {name: torch.empty(one.shape, dtype=TORCH[one.dtype], device="meta") for name, one in tensors.items()}
    return {
        name: torch.from_numpy(one.bits().copy()).view(TORCH[one.dtype]).reshape(one.shape)
        for name, one in tensors.items()
    }


def converted(model: Checkpoint, file: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """By component, what diffusers makes of a whole single file in the original names."""
    flux, found = model.denoiser == "transformer", dict(file)
    made = {"vae": theirs.convert_ldm_vae_checkpoint(dict(found), model.config("vae"))}
    if flux:
        held = {name: tensor for name, tensor in found.items() if name.startswith(INSIDE)}
        heads = model.config("transformer")
        made["transformer"] = flux_converter(heads["num_attention_heads"] * heads["attention_head_dim"])(held)
        made["text_encoder"] = theirs.convert_ldm_clip_checkpoint(found, "text_encoders.clip_l.transformer.")
        made["text_encoder_2"] = theirs.convert_sd3_t5_checkpoint_to_diffusers(found)
        return made
    made["unet"] = theirs.convert_ldm_unet_checkpoint(found, model.config("unet"))
    prefixes = {"sd2": "cond_stage_model.model.", "refiner": "conditioner.embedders.0.model."}
    second = prefixes.get(model.name, "conditioner.embedders.1.model.")
    if model.name in ("sd1", "sdxl", "sdxl-v"):
        made["text_encoder"] = theirs.convert_ldm_clip_checkpoint(found)
    if model.name != "sd1":
        component = "text_encoder" if model.name == "sd2" else "text_encoder_2"
        like = SimpleNamespace(config=SimpleNamespace(**model.config(component)))
        made[component] = theirs.convert_open_clip_checkpoint(like, found, prefix=second)
    return made


def flux_converter(width: int) -> FunctionType:
    """diffusers' converter for a transformer of another width than FLUX.1's, which stands in it as a number."""
    original = theirs.convert_flux_transformer_checkpoint_to_diffusers
    code = original.__code__
    assert WIDTH in code.co_consts
    constants = tuple(width if one == WIDTH else one for one in code.co_consts)
    return FunctionType(code.replace(co_consts=constants), original.__globals__, argdefs=original.__defaults__)
