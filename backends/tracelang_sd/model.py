"""A Stable Diffusion 1.x or 2.x model with weights, and the parts that Stable Diffusion XL has as well."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from tracelang.models import configs
from tracelang.models.diffusion import DiffusionClock
from tracelang.models.latents import Grid
from tracelang.models.model import PipelineModel, part
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import Attended, TextStates
from tracelang_sd.attention import attended


@dataclass(frozen=True)
class CrossAttending(PipelineModel):
    """A pipeline whose UNet reads the prompt in cross-attention."""

    def attended(self) -> AbstractContextManager[list[Attended]]:
        return attended(self.denoiser, (self.latents.drawn[1], self.latents.drawn[2]))


@dataclass(frozen=True)
class StableDiffusionModel(CrossAttending):
    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        prediction = self.denoiser(latents, times.to(self.device), states.inputs["tokens"], return_dict=False)[0]
        assert isinstance(prediction, Tensor)
        return prediction


def load(text: PromptSide, clock: DiffusionClock) -> StableDiffusionModel:
    """The model around its prompt side. Raises ModelError: tensors missing."""
    unet = plain_unet(text)
    return StableDiffusionModel.around(text, clock, unet, autoencoder(text), grid(unet), text.conditions["guidance"])


def plain_unet(text: PromptSide) -> UNet2DConditionModel:
    unet = part(text, UNet2DConditionModel, "unet")
    if text.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # fused attention's backward is slow there
    return unet


def autoencoder(text: PromptSide, upcast: bool = False) -> AutoencoderKL:
    """In float32 where it overflows in float16: `upcast` lets its config's `force_upcast` say so, as SDXL's pipeline
    does.
    """
    forced = configs.read(text.folder / "vae" / "config.json").get("force_upcast", True)
    if upcast and forced and text.dtype is torch.float16:
        text = replace(text, dtype=torch.float32)
    return part(text, AutoencoderKL, "vae")


def grid(unet: UNet2DConditionModel) -> Grid:
    """Latents of the size that it was trained on."""
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return Grid((unet.config.in_channels, height, width))
