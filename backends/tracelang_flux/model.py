"""A FLUX.1 model with weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor, nn

from tracelang.models.flow import FlowClock
from tracelang.models.latents import Packed
from tracelang.models.model import PipelineModel, part
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import Attended, TextStates
from tracelang_flux.attention import LONGEST, PlainAttention, attended


@dataclass(frozen=True)
class FluxModel(PipelineModel):
    """What `predict` answers is the velocity `n − x₀`, with guidance told to the model as the conditions fix it; so
    `guidance` is 1, one forward a step.
    """

    def attended(self) -> contextlib.AbstractContextManager[list[Attended]]:
        return attended(self.denoiser, self.latents.drawn[1] // 2)

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        tokens, pooled = states.inputs["tokens"].to(self.dtype), states.inputs["pooled"].to(self.dtype)
        told, guidance = None, self.conditions.get("embedded_guidance")
        if guidance is not None:
            told = torch.full((len(latents),), guidance, device=self.device)
        times = times.to(self.device, torch.float32)
        with exactly(self.denoiser, times, told):
            velocity = self.denoiser(
                hidden_states=latents,
                timestep=times,
                guidance=told,
                encoder_hidden_states=tokens,
                pooled_projections=pooled[:, 0],
                txt_ids=torch.zeros(tokens.shape[1], 3, device=self.device),
                img_ids=places(self.latents.drawn[1] // 2).to(self.device),
                return_dict=False,
            )[0]
        assert isinstance(velocity, Tensor)
        return velocity


def places(side: int) -> Tensor:
    """`[side², 3]`: 0, row and column of every image token."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], -1).view(-1, 3).float()


@contextlib.contextmanager
def exactly(denoiser: nn.Module, times: Tensor, guidance: Tensor | None) -> Iterator[None]:
    """Inside, σ and guidance reach their embeddings in float32.

    The transformer casts them to the dtype of its hidden states before it multiplies by 1000, and bfloat16 tells 1000
    apart from 1004 only.
    """
    told = [1000 * one for one in (times, guidance) if one is not None]
    embed = denoiser.get_submodule("time_text_embed")
    handle = embed.register_forward_pre_hook(lambda module, inputs: (*told, *inputs[len(told) :]))
    try:
        yield
    finally:
        handle.remove()


def load(text: PromptSide, clock: FlowClock, side: int) -> FluxModel:
    """The model around its prompt side. Raises ModelError: tensors missing."""
    transformer, vae = part(text, FluxTransformer2DModel, "transformer"), part(text, AutoencoderKL, "vae")
    single, length = text.dtype is torch.float32, side**2 + text.paths[0].length
    if text.device.type == "cpu" and single and length <= LONGEST:
        transformer.set_attn_processor(PlainAttention())
    if single:
        for layer in (transformer.x_embedder, transformer.proj_out):  # under autocast: residual stream and answer
            layer.register_forward_hook(lambda module, inputs, output: output.float())
    latents = Packed((transformer.config.in_channels // 4, 2 * side, 2 * side))
    return FluxModel.around(text, clock, transformer, vae, latents, text.conditions["guidance"])
