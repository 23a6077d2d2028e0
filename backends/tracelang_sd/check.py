"""Is a folder what it says? Configs, classes and weight headers, before any work and without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracelang.models import layout, weights
from tracelang.plan.family import ModelError, Site
from tracelang_sd import config

PIPELINE = "StableDiffusionPipeline"


def claims(folder: Path) -> bool:
    """Is it a Stable Diffusion 1.x pipeline by its `model_index.json`?"""
    return layout.claims(folder, PIPELINE, config.CLASSES)


def check(folder: Path, sites: tuple[Site, ...]) -> None:
    """Raise ModelError, one line, unless every component is there and its weights' headers fit the configs."""
    layout.complete(folder, PIPELINE, config.CLASSES, "Stable Diffusion 1.x")
    _tokenizer(folder / "tokenizer")
    unet = config.unet(folder)
    text = _of_class(folder / "text_encoder" / "config.json", "model_type", ("clip_text_model", "clip"))
    vae = _of_class(folder / "vae" / "config.json", "_class_name", ("AutoencoderKL",))
    _together(folder, unet, text, vae)
    layout.plain(folder, ("unet", "vae", "text_encoder"))
    stored = weights.find(folder / "unet")
    for site in sites:
        layout.holds(folder / "unet", stored, site.tensor, site.shape)
    widths = unet.get("block_out_channels", (320, 640, 1280, 1280))
    latents = unet.get("in_channels", 4)
    layout.holds(folder / "unet", stored, "conv_in.weight", (widths[0], latents, 3, 3))
    layout.holds(folder / "unet", stored, "conv_out.weight", (latents, widths[0], 3, 3))
    stored = weights.find(folder / "vae")
    layout.holds(folder / "vae", stored, "decoder.conv_in.weight", (vae["block_out_channels"][-1], latents, 3, 3))
    stored = weights.find(folder / "text_encoder")
    prefix = "" if "embeddings.token_embedding.weight" in stored.tensors else "text_model."  # before transformers 5
    shape = (text["vocab_size"], text["hidden_size"])
    layout.holds(folder / "text_encoder", stored, f"{prefix}embeddings.token_embedding.weight", shape)


def _of_class(path: Path, key: str, accepted: tuple[str, ...]) -> dict[str, Any]:
    table = layout.read(path)
    if table.get(key) not in accepted:
        raise ModelError(f"{path}: {key} is {table.get(key)!r}, not {accepted[0]!r}; not Stable Diffusion 1.x")
    return table


def _together(folder: Path, unet: dict[str, Any], text: dict[str, Any], vae: dict[str, Any]) -> None:
    """Do the components' widths meet?"""
    try:
        reads, writes = unet.get("cross_attention_dim", 1280), text["hidden_size"]
        latents = {unet.get("in_channels", 4), unet.get("out_channels", 4), vae.get("latent_channels", 4)}
        met = set(reads if isinstance(reads, list) else [reads]) == {writes}
        text["vocab_size"], vae["block_out_channels"][-1], unet["sample_size"]
    except (KeyError, TypeError, IndexError) as error:
        raise ModelError(f"{folder}: a config lacks {error}; download the model again") from None
    if not met:
        raise ModelError(f"{folder}: the UNet reads states of width {reads}, the text encoder gives {writes}")
    if len(latents) > 1:
        found = sorted(latents, key=str)
        raise ModelError(f"{folder}: UNet and VAE differ in channels {found}; inpainting is not supported")


def _tokenizer(folder: Path) -> None:
    if (folder / "tokenizer.json").is_file():
        layout.read(folder / "tokenizer.json")
        return
    layout.read(folder / "vocab.json")
    if not (folder / "merges.txt").is_file():
        raise ModelError(f"{folder / 'merges.txt'}: is missing; download the model again")
