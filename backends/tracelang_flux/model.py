"""A FLUX.1 model with weights, from plain diffusers and transformers parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor, nn

from tracelang.checkpoint import weights
from tracelang.checkpoint.parts import component, quiet
from tracelang.models.protocol import TextStates
from tracelang.plan.family import Site
from tracelang_flux.attention import LONGEST, PlainAttention
from tracelang_flux.clock import FlowClock
from tracelang_flux.encoders import FluxText

IMAGE_BATCH = 8


@dataclass(frozen=True)
class FluxModel(FluxText):
    """`Model`: everything frozen and in evaluation mode; adapters attach to `denoiser`.

    Latents are packed `[n, side², 4 c]`, 2×2 of the autoencoder's to a token. What `predict` answers is the velocity
    `n − x₀`, with guidance told to the model as `settings` fixes it; so `guidance` is 1, one forward a step.
    """

    clock: FlowClock
    denoiser: FluxTransformer2DModel
    vae: AutoencoderKL
    fingerprint: str
    guidance: float = 1.0

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.settings.side**2, self.denoiser.config.in_channels)

    def weight(self, site: Site) -> nn.Parameter:
        """The site's matrix `[out, in]`: the frozen one, also under an adapter."""
        module = self.denoiser.get_submodule(site.module)
        parameter = getattr(module, "base_layer", module).weight
        assert isinstance(parameter, nn.Parameter)
        return parameter

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """`[n, side², 4 c]`, standard normal; the same as FluxPipeline draws in float32 on the CPU, and packs."""
        shape = (1, self.denoiser.config.in_channels // 4, 2 * self.settings.side, 2 * self.settings.side)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return pack(torch.cat(rows)).to(self.device, self.dtype)

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        tokens, pooled = states.inputs["tokens"].to(self.dtype), states.inputs["pooled"].to(self.dtype)
        told = None
        if self.settings.guidance is not None:
            told = torch.full((len(latents),), self.settings.guidance, device=self.device)
        times = times.to(self.device, torch.float32)
        with exactly(self.denoiser, times, told):
            velocity = self.denoiser(
                hidden_states=latents,
                timestep=times,
                guidance=told,
                encoder_hidden_states=tokens,
                pooled_projections=pooled[:, 0],
                txt_ids=torch.zeros(tokens.shape[1], 3, device=self.device),
                img_ids=places(self.settings.side).to(self.device),
                return_dict=False,
            )[0]
        assert isinstance(velocity, Tensor)
        return velocity

    def guided(self, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
        """Classifier-free guidance (arXiv 2207.12598)."""
        return unconditional + scale * (conditional - unconditional)

    def diffuse(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """`x_σ = (1 − σ) x₀ + σ n`, and the velocity `n − x₀` (arXiv 2209.03003)."""
        sigma = times.to(clean.device, torch.float32).view(-1, *[1] * (clean.dim() - 1))
        noisy = (1 - sigma) * clean + sigma * noise
        return noisy.to(clean.dtype), (noise - clean).to(clean.dtype)

    def step(self, prediction: Tensor, index: int, steps: int, latents: Tensor) -> Tensor:
        """Euler's, computed in float32 at least."""
        times = (*self.clock.times(steps), 0.0)
        dtype = torch.promote_types(latents.dtype, torch.float32)
        later = latents.to(dtype) + (times[index + 1] - times[index]) * prediction.to(dtype)
        return later.to(latents.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        spread = unpack(latents, self.settings.side) / config.scaling_factor + (config.shift_factor or 0.0)
        batches = spread.to(self.device, self.dtype).split(IMAGE_BATCH)
        images = [self.vae.decode(batch, return_dict=False)[0].float().cpu() for batch in batches]
        return (torch.cat(images) / 2 + 0.5).clamp(0, 1)


def pack(latents: Tensor) -> Tensor:
    """`[n, c, 2 h, 2 w]` → `[n, h w, 4 c]`."""
    n, c, height, width = latents.shape
    cut = latents.view(n, c, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(n, (height // 2) * (width // 2), 4 * c)


def unpack(tokens: Tensor, side: int) -> Tensor:
    """`[n, side², 4 c]` → `[n, c, 2 side, 2 side]`."""
    n, _, channels = tokens.shape
    cut = tokens.view(n, side, side, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return cut.reshape(n, channels // 4, 2 * side, 2 * side)


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


def load(text: FluxText, clock: FlowClock) -> FluxModel:
    """The model around its prompt side. Raises ModelError: tensors missing."""
    with quiet():
        transformer = component(FluxTransformer2DModel, text.folder / "transformer", torch_dtype=text.dtype)
        vae = component(AutoencoderKL, text.folder / "vae", torch_dtype=text.dtype)
    single, length = text.dtype is torch.float32, text.settings.side**2 + text.settings.tokens
    if text.device.type == "cpu" and single and length <= LONGEST:
        transformer.set_attn_processor(PlainAttention())
    if single:
        for layer in (transformer.x_embedder, transformer.proj_out):  # under autocast: residual stream and answer
            layer.register_forward_hook(lambda module, inputs, output: output.float())
    for part in (transformer, vae):
        part.to(text.device).eval().requires_grad_(False)
    told = {field.name: getattr(text, field.name) for field in fields(text)}
    fingerprint = weights.fingerprint(text.folder)
    return FluxModel(**told, clock=clock, denoiser=transformer, vae=vae, fingerprint=fingerprint)
