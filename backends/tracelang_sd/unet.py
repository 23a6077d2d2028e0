"""A UNet's config and weights, and whether its neighbours fit: what the families here share. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracelang.models import configs, layout, weights
from tracelang.plan.family import ModelError, Site

LATENTS = {
    8: "it starts from a picture that it is told to change",
    9: "it fills in pictures: inpainting is not supported",
}
"""What a UNet does that takes so many channels of which four are latents."""


def config(folder: Path, title: str) -> dict[str, Any]:
    path = folder / "unet" / "config.json"
    table = configs.read(path)
    if table.get("_class_name") != "UNet2DConditionModel":
        raise ModelError(f"{path}: describes {table.get('_class_name')!r}, not UNet2DConditionModel; not {title}")
    return table


def together(folder: Path, unet: dict[str, Any], texts: Sequence[dict[str, Any]], vae: dict[str, Any]) -> None:
    """Do the components' widths meet? The states of several encoders stand side by side. Raises ModelError."""
    try:
        reads, writes = unet.get("cross_attention_dim", 1280), sum(text["hidden_size"] for text in texts)
        latents = {unet.get("in_channels", 4), unet.get("out_channels", 4), vae.get("latent_channels", 4)}
        met = set(reads if isinstance(reads, list) else [reads]) == {writes}
        [text["vocab_size"] for text in texts], vae["block_out_channels"][-1], unet["sample_size"]
    except (KeyError, TypeError, IndexError) as error:
        raise ModelError(f"{folder}: a config lacks {error}; download the model again") from None
    if not met:
        raise ModelError(f"{folder}: the UNet reads states of width {reads}, the text encoder gives {writes}")
    if len(latents) > 1:
        found, takes = sorted(latents, key=str), unet.get("in_channels")
        why = LATENTS.get(takes, "another VAE's") if isinstance(takes, int) else "another VAE's"
        raise ModelError(f"{folder}: UNet and VAE differ in channels {found}; {why}")


def holds(folder: Path, table: dict[str, Any], sites: Sequence[Site]) -> None:
    """Do the weights hold the sites, and latents of so many channels? Raises ModelError."""
    stored = weights.find(folder / "unet")
    for site in sites:
        layout.holds(folder / "unet", stored, site.tensor, site.stored)
    width, latents = table.get("block_out_channels", (320, 640, 1280, 1280))[0], table.get("in_channels", 4)
    layout.holds(folder / "unet", stored, "conv_in.weight", (width, latents, 3, 3))
    layout.holds(folder / "unet", stored, "conv_out.weight", (latents, width, 3, 3))
