"""One file in the original names: what ComfyUI, A1111 and Forge hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.layouts import bfl, ldm
from tests.layouts.checkpoint import Checkpoint
from tests.layouts.tensors import Tensor, Tensors, given, hole, write

INSIDE = "model.diffusion_model."
BUFFERS = ("alphas_cumprod", "alphas_cumprod_prev", "betas", "log_one_minus_alphas_cumprod",
           "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "posterior_variance",
           "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
           "sqrt_recipm1_alphas_cumprod")  # fmt: skip
"""The schedule, which the first generation's files keep beside the weights."""


def tensors(
    model: Checkpoint,
    *,
    prefix: str = INSIDE,
    vae: bool = True,
    encoders: bool = True,
    ema: bool = False,
    markers: tuple[str, ...] = (),
) -> dict[str, Tensor]:
    """A whole checkpoint's tensors by original names, in the order of a file: widest dtype first, then by name.

    `prefix` stands before the denoiser's names. `ema` adds moving averages of the UNet, which differ from it; `markers`
    are empty tensors that say how to sample (`v_pred`, `ztsnr`).
    """
    parts, flux = model.parts, model.denoiser == "transformer"
    denoiser = bfl.transformer(parts["transformer"]) if flux else ldm.unet(parts["unet"], model.config("unet"))
    made = {f"{prefix}{name}": tensor for name, tensor in denoiser.items()}
    if ema:
        made |= ldm.ema(averaged(made))
        made["model_ema.decay"], made["model_ema.num_updates"] = given("F32", 0.9999), given("I64", 1000)
    if vae:
        stage = "vae." if flux else "first_stage_model."
        made |= {stage + n: t for n, t in ldm.vae(parts["vae"], model.config("vae")).items()}
    if encoders:
        made |= ENCODERS[model.name.split("-")[0]](model)
    if prefix == INSIDE and not flux and (vae or encoders):
        noise = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        if model.name in ("sd1", "sd2"):
            made |= {name: given("F32", noise) for name in BUFFERS}
        elif model.name == "sdxl":
            made["denoiser.sigmas"] = given("F32", noise)
    made |= {name: Tensor("F32", (0,), lambda: np.zeros(0, np.uint32)) for name in markers}
    width = {"F64": 0, "I64": 0, "F32": 1, "F16": 2, "BF16": 2}
    return dict(sorted(made.items(), key=lambda item: (width.get(item[1].dtype, 3), item[0])))


def build(path: Path, model: Checkpoint, metadata: Mapping[str, str] | None = None, **which: object) -> Path:
    """Write `path` as `tensors` says."""
    return write(path, tensors(model, **which), metadata or {"format": "pt"})


def averaged(tensors: Tensors) -> dict[str, Tensor]:
    """Other values of the same kind, as an average over training has."""
    return {
        name: one if one.hole else one.map(one.shape, lambda bits: np.roll(bits, 1, axis=0))
        for name, one in tensors.items()
    }


def _prefixed(prefix: str, found: Tensors) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in found.items()}


def _first(model: Checkpoint) -> dict[str, Tensor]:
    return _prefixed("cond_stage_model.transformer.", model.parts["text_encoder"])


def _second(model: Checkpoint) -> dict[str, Tensor]:
    """OpenCLIP's encoder whole: diffusers' lacks its last layer, its projection and its temperature."""
    found = dict(model.parts["text_encoder"])
    count, width = model.config("text_encoder")["num_hidden_layers"], model.config("text_encoder")["hidden_size"]
    last = {
        name.replace(f".layers.{count - 1}.", f".layers.{count}."): tensor
        for name, tensor in found.items()
        if f".layers.{count - 1}." in name
    }
    made = ldm.open_clip(found | last)
    like = next(iter(found.values()))
    projection = Tensor(like.dtype, (width, width), lambda: np.zeros((width, width), like.bits().dtype))
    made |= {"text_projection": hole(projection), "logit_scale": given(like.dtype, 4.6)}
    return _prefixed("cond_stage_model.model.", made)


def _both(model: Checkpoint) -> dict[str, Tensor]:
    second = ldm.open_clip(model.parts["text_encoder_2"])
    second["logit_scale"] = given(next(iter(second.values())).dtype, 4.6)
    first = _prefixed("conditioner.embedders.0.transformer.", model.parts["text_encoder"])
    return first | _prefixed("conditioner.embedders.1.model.", second)


def _refiner(model: Checkpoint) -> dict[str, Tensor]:
    second = ldm.open_clip(model.parts["text_encoder_2"])
    second["logit_scale"] = given(next(iter(second.values())).dtype, 4.6)
    return _prefixed("conditioner.embedders.0.model.", second)


def _comfy(model: Checkpoint) -> dict[str, Tensor]:
    clip = {name: tensor for name, tensor in model.parts["text_encoder"].items() if "position_ids" not in name}
    first = _prefixed("text_encoders.clip_l.transformer.", clip)
    return first | _prefixed("text_encoders.t5xxl.transformer.", model.parts["text_encoder_2"])


ENCODERS = {"sd1": _first, "sd2": _second, "sdxl": _both, "refiner": _refiner, "flux": _comfy}
"""By the kind's name up to a dash."""
