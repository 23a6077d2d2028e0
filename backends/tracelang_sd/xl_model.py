"""A Stable Diffusion XL model with weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.models.diffusion import DiffusionClock
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import TextStates
from tracelang_sd.model import CrossAttending, autoencoder, grid, plain_unet
from tracelang_sd.sites import SIZES


@dataclass(frozen=True)
class StableDiffusionXLModel(CrossAttending):
    def unconditional(self) -> TextStates:
        """Zeros where the pipeline draws so without a negative prompt, else the empty prompt."""
        empty = self.encode([""])
        if not self.conditions["unconditional_zeros"]:
            return empty
        return TextStates({name: torch.zeros_like(value) for name, value in empty.inputs.items()})

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        tokens, pooled = states.inputs["tokens"], states.inputs["pooled"]
        sizes = tokens.new_tensor([self.conditions[size] for size in SIZES]).expand(len(latents), -1)
        prediction = self.denoiser(
            latents,
            times.to(self.device),
            tokens,
            added_cond_kwargs={"text_embeds": pooled[:, 0], "time_ids": sizes},
            return_dict=False,
        )[0]
        assert isinstance(prediction, Tensor)
        return prediction


def load(text: PromptSide, clock: DiffusionClock) -> StableDiffusionXLModel:
    """The model around its prompt side. Raises ModelError: tensors missing."""
    unet = plain_unet(text)
    return StableDiffusionXLModel.around(
        text, clock, unet, autoencoder(text, upcast=True), grid(unet), text.conditions["guidance"]
    )
