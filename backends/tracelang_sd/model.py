"""A Stable Diffusion model with weights."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from tracelang.models.diffusion import DiffusionClock
from tracelang.models.latents import Grid
from tracelang.models.model import PipelineModel, part
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import TextStates


@dataclass(frozen=True)
class StableDiffusionModel(PipelineModel):
    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        prediction = self.denoiser(latents, times.to(self.device), states.inputs["tokens"], return_dict=False)[0]
        assert isinstance(prediction, Tensor)
        return prediction


def load(text: PromptSide, clock: DiffusionClock) -> StableDiffusionModel:
    """The model around its prompt side. Raises ModelError: tensors missing."""
    unet, vae = part(text, UNet2DConditionModel, "unet"), part(text, AutoencoderKL, "vae")
    if text.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # fused attention's backward is slow there
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    latents = Grid((unet.config.in_channels, height, width))
    return StableDiffusionModel.around(text, clock, unet, vae, latents, text.conditions["guidance"])
