"""The family of Stable Diffusion XL, as the compiler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models import check, configs, layout
from tracelang.models.diffusion import DiffusionClock, clock
from tracelang.models.pipeline import Pipeline
from tracelang.plan.family import ModelError, Site
from tracelang_sd import unet
from tracelang_sd.family import UNGUIDED
from tracelang_sd.sites import POOLED, SIZES, sites
from tracelang_sd.titles import TITLES

if TYPE_CHECKING:
    import torch

    from tracelang.models.paths import TextPath
    from tracelang.models.prompt_side import PromptSide
    from tracelang_sd.xl_model import StableDiffusionXLModel

GUIDANCE = 5.0
"""What StableDiffusionXLPipeline takes unless a user says otherwise."""


class StableDiffusionXL(Pipeline):
    """`Family` of SDXL and what was trained from it: a UNet with cross-attention to the token states of two CLIP
    encoders side by side, told the second one's pooled state and the picture's sizes beside the time.
    """

    names = ("sdxl",)
    title = TITLES["sdxl"]
    pipeline = "StableDiffusionXLPipeline"
    reads_lora = True
    refused = {
        "StableDiffusionXLImg2ImgPipeline": "starts from a picture, as SDXL's refiner does; edit the base model, and "
        "draw without the refiner, which would draw the concept again",
        "StableDiffusionXLInpaintPipeline": "fills in pictures: inpainting is not supported",
        "StableDiffusionXLInstructPix2PixPipeline": "changes a picture that it is told, which is not supported",
    }
    classes = {
        "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
        "vae": ("diffusers", frozenset({"AutoencoderKL"})),
        "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
        "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
        "text_encoder_2": ("transformers", frozenset({"CLIPTextModelWithProjection"})),
        "tokenizer_2": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
    }

    def sites(self, folder: Path) -> tuple[Site, ...]:
        return sites(self._unet(folder), folder / "unet" / "config.json", "sdxl")

    def clock(self, folder: Path) -> DiffusionClock:
        path = folder / "scheduler" / "scheduler_config.json"
        return clock(configs.read(path), path)

    def conditions(self, folder: Path) -> Mapping[str, float]:
        """The guidance scale, from `tracelang.json` where the folder has one; whether zeros stand beside a prompt or
        the states of the empty one; and the sizes that StableDiffusionXLPipeline tells by itself: those of an uncropped
        picture of the model's own size.
        """
        height, width = self._pixels(folder)
        zeros = configs.index(folder).get("force_zeros_for_empty_prompt", True)
        return {
            "guidance": check.guidance(folder, GUIDANCE, 1, UNGUIDED),
            "unconditional_zeros": float(bool(zeros)),
            **dict(zip(SIZES, (height, width, 0, 0, height, width), strict=True)),
        }

    def fits(self, folder: Path) -> None:
        check.tokenizer(folder / "tokenizer", "vocab.json", "merges.txt")
        check.tokenizer(folder / "tokenizer_2", "vocab.json", "merges.txt")
        if configs.index(folder).get("requires_aesthetics_score"):
            raise ModelError(
                f"{folder / 'model_index.json'}: requires_aesthetics_score is set, so it is SDXL's refiner, which "
                "starts from a picture; edit the base model"
            )
        table, found = self._unet(folder), self.sites(folder)
        texts = [check.clip(folder, self.title, name) for name in ("text_encoder", "text_encoder_2")]
        vae = check.config(folder, "vae", self.title, "AutoencoderKL")
        if vae.get("latents_mean") or vae.get("latents_std"):
            raise ModelError(
                f"{folder / 'vae' / 'config.json'}: has latents_mean or latents_std, as models trained in EDM's way "
                "have; only SDXL's own latents are supported"
            )
        unet.together(folder, table, texts, vae)
        pooled = next(site for site in found if site.tensor == POOLED)
        if texts[1].get("projection_dim") != pooled.part.stop:
            raise ModelError(
                f"{folder}: the UNet reads a pooled state of width {pooled.part.stop}, text_encoder_2 gives "
                f"{texts[1].get('projection_dim')}"
            )
        layout.plain(folder, ("unet", "vae", "text_encoder", "text_encoder_2"), found)
        unet.holds(folder, table, found)
        check.holds_vae(folder, vae)
        check.holds_clip(folder, texts[0])
        check.holds_clip(folder, texts[1], "text_encoder_2")

    def paths(self, folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[TextPath, ...]:
        from tracelang_sd.xl_paths import twin

        return (twin(folder, device, dtype),)

    def model(self, text: PromptSide) -> StableDiffusionXLModel:
        from tracelang_sd.xl_model import load

        return load(text, self.clock(text.folder))

    def _unet(self, folder: Path) -> dict[str, Any]:
        return unet.config(folder, self.title)

    def _pixels(self, folder: Path) -> tuple[int, int]:
        """Height and width of the pictures that the UNet was trained on."""
        vae = check.config(folder, "vae", self.title, "AutoencoderKL")
        side = self._unet(folder)["sample_size"]
        height, width = (side, side) if isinstance(side, int) else side
        pixels = 1 << (len(vae["block_out_channels"]) - 1)
        return height * pixels, width * pixels
