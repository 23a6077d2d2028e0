"""The families of Stable Diffusion 1.x and 2.x, as the compiler sees them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models import check, configs, layout
from tracelang.models.diffusion import DiffusionClock, clock
from tracelang.models.pipeline import Pipeline
from tracelang.plan.family import Site
from tracelang_sd import unet
from tracelang_sd.sites import sites

if TYPE_CHECKING:
    import torch

    from tracelang.models.paths import TextPath
    from tracelang.models.prompt_side import PromptSide
    from tracelang_sd.model import StableDiffusionModel

GUIDANCE = 7.5
SD2 = 1024
"""Width of the states that a UNet of Stable Diffusion 2.x reads, from OpenCLIP; 1.x reads 768."""
UNGUIDED = (
    "1 is the prompt's picture without guidance, as for models that were trained to need none, and 0 would be the "
    "unconditional picture"
)


class StableDiffusion(Pipeline):
    """`Family` of SD 1.x and 2.x: a UNet with cross-attention to CLIP's token states, a KL autoencoder, a discrete
    schedule.
    """

    names = ("sd1", "sd2")
    title = "Stable Diffusion 1.x or 2.x"
    pipeline = "StableDiffusionPipeline"
    reads_lora = True
    refused = {
        "StableDiffusionInpaintPipeline": "fills in pictures: inpainting is not supported",
        "StableDiffusionImg2ImgPipeline": "starts from a picture; save it once with StableDiffusionPipeline",
        "StableDiffusionDepth2ImgPipeline": "follows the depths of a picture, which is not supported",
        "StableDiffusionInstructPix2PixPipeline": "changes a picture that it is told, which is not supported",
        "StableDiffusionUpscalePipeline": "enlarges a picture, which is not supported",
        "StableUnCLIPPipeline": "draws from an embedding that a prior makes of the prompt, which is not supported",
        "StableUnCLIPImg2ImgPipeline": "draws from the embedding of a picture, which is not supported",
        "LatentConsistencyModelPipeline": "is told guidance beside the time; edit the model that it was distilled from",
    }
    classes = {
        "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
        "vae": ("diffusers", frozenset({"AutoencoderKL"})),
        "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
        "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
    }

    def name(self, folder: Path) -> str:
        """2.x projects linearly around its transformers and reads OpenCLIP's states; 1.x does neither."""
        table = self._unet(folder)
        second = table.get("use_linear_projection") is True or table.get("cross_attention_dim") == SD2
        return "sd2" if second else "sd1"

    def sites(self, folder: Path) -> tuple[Site, ...]:
        return sites(self._unet(folder), folder / "unet" / "config.json", self.name(folder))

    def clock(self, folder: Path) -> DiffusionClock:
        path = folder / "scheduler" / "scheduler_config.json"
        return clock(configs.read(path), path)

    def conditions(self, folder: Path) -> Mapping[str, float]:
        """The model's own guidance scale: from `tracelang.json` where the folder has one, else SD's customary 7.5."""
        return {"guidance": check.guidance(folder, GUIDANCE, 1, UNGUIDED)}

    def fits(self, folder: Path) -> None:
        check.tokenizer(folder / "tokenizer", "vocab.json", "merges.txt")
        table, found = self._unet(folder), self.sites(folder)
        text = check.clip(folder, self.title)
        vae = check.config(folder, "vae", self.title, "AutoencoderKL")
        unet.together(folder, table, [text], vae)
        layout.plain(folder, ("unet", "vae", "text_encoder"), found)
        unet.holds(folder, table, found)
        check.holds_vae(folder, vae)
        check.holds_clip(folder, text)

    def paths(self, folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[TextPath, ...]:
        from tracelang.models.paths import clip

        return (clip(folder, device, dtype),)

    def model(self, text: PromptSide) -> StableDiffusionModel:
        from tracelang_sd.model import load

        return load(text, self.clock(text.folder))

    def _unet(self, folder: Path) -> dict[str, Any]:
        return unet.config(folder, self.title)
