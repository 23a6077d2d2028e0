"""The Stable Diffusion family, as the compiler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models import check, configs, layout, weights
from tracelang.models.diffusion import DiffusionClock, clock
from tracelang.models.pipeline import Pipeline
from tracelang.plan.family import ModelError, Site
from tracelang_sd.sites import sites

if TYPE_CHECKING:
    import torch

    from tracelang.models.paths import TextPath
    from tracelang.models.prompt_side import PromptSide
    from tracelang_sd.model import StableDiffusionModel

GUIDANCE = 7.5
SD2 = 1024
"""Width of the states that a UNet of Stable Diffusion 2.x reads, from OpenCLIP; 1.x reads 768."""


class StableDiffusion(Pipeline):
    """`Family` of SD 1.x and 2.x: a UNet with cross-attention to CLIP's token states, a KL autoencoder, a discrete
    schedule.
    """

    names = ("sd1", "sd2")
    title = "Stable Diffusion 1.x"
    pipeline = "StableDiffusionPipeline"
    classes = {
        "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
        "vae": ("diffusers", frozenset({"AutoencoderKL"})),
        "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
        "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
    }

    def name(self, folder: Path) -> str:
        return "sd2" if self._unet(folder).get("cross_attention_dim") == SD2 else "sd1"

    def sites(self, folder: Path) -> tuple[Site, ...]:
        return sites(self._unet(folder), folder / "unet" / "config.json")

    def clock(self, folder: Path) -> DiffusionClock:
        path = folder / "scheduler" / "scheduler_config.json"
        return clock(configs.read(path), path)

    def conditions(self, folder: Path) -> Mapping[str, float]:
        """The model's own guidance scale: from `tracelang.json` where the folder has one, else SD's customary 7.5."""
        remedy = (
            "1 is the prompt's picture without guidance, as for models that were trained to need none, and 0 would be "
            "the empty prompt's"
        )
        return {"guidance": check.guidance(folder, GUIDANCE, 1, remedy)}

    def fits(self, folder: Path) -> None:
        check.tokenizer(folder / "tokenizer", "vocab.json", "merges.txt")
        unet, found = self._unet(folder), self.sites(folder)
        text = check.clip(folder, self.title)
        vae = check.config(folder, "vae", self.title, "AutoencoderKL")
        _together(folder, unet, text, vae)
        layout.plain(folder, ("unet", "vae", "text_encoder"), found)
        stored = weights.find(folder / "unet")
        for site in found:
            layout.holds(folder / "unet", stored, site.tensor, site.shape)
        width, latents = unet.get("block_out_channels", (320, 640, 1280, 1280))[0], unet.get("in_channels", 4)
        layout.holds(folder / "unet", stored, "conv_in.weight", (width, latents, 3, 3))
        layout.holds(folder / "unet", stored, "conv_out.weight", (latents, width, 3, 3))
        check.holds_vae(folder, vae)
        check.holds_clip(folder, text)

    def paths(self, folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[TextPath, ...]:
        from tracelang.models.paths import clip

        return (clip(folder, device, dtype),)

    def model(self, text: PromptSide) -> StableDiffusionModel:
        from tracelang_sd.model import load

        return load(text, self.clock(text.folder))

    def _unet(self, folder: Path) -> dict[str, Any]:
        path = folder / "unet" / "config.json"
        table = configs.read(path)
        if table.get("_class_name") != "UNet2DConditionModel":
            raise ModelError(f"{path}: describes {table.get('_class_name')!r}, not UNet2DConditionModel; not SD 1.x")
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
