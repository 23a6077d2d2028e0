"""A Stable Diffusion model with weights, from plain diffusers and transformers parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from tracelang.checkpoint import weights
from tracelang.checkpoint.parts import component, quiet
from tracelang.models.protocol import TextStates
from tracelang.plan.family import Site
from tracelang_sd.clock import DiffusionClock
from tracelang_sd.encoder import StableDiffusionText

IMAGE_BATCH = 8


@dataclass(frozen=True)
class StableDiffusionModel(StableDiffusionText):
    """`Model`: everything frozen and in evaluation mode; adapters attach to `denoiser`."""

    clock: DiffusionClock
    denoiser: UNet2DConditionModel
    vae: AutoencoderKL
    fingerprint: str

    @property
    def latent_shape(self) -> tuple[int, ...]:
        config = self.denoiser.config
        size = config.sample_size
        return (config.in_channels, *((size, size) if isinstance(size, int) else size))

    def weight(self, site: Site) -> torch.nn.Parameter:
        """The site's matrix `[out, in]`: the frozen one, also under an adapter."""
        module = self.denoiser.get_submodule(site.module)
        parameter = getattr(module, "base_layer", module).weight
        assert isinstance(parameter, torch.nn.Parameter)
        return parameter

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """`[n, channels, h, w]`, standard normal; the same as a diffusers pipeline draws in float32 on the CPU."""
        rows = [torch.randn(self.latent_shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows).to(self.device, self.dtype)

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        prediction = self.denoiser(latents, times.to(self.device), states.inputs["tokens"], return_dict=False)[0]
        assert isinstance(prediction, Tensor)
        return prediction

    def guided(self, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
        """Classifier-free guidance (arXiv 2207.12598)."""
        return unconditional + scale * (conditional - unconditional)

    def diffuse(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """`x_t = √ᾱ x + √(1−ᾱ) n`, and the noise or v there (arXiv 2202.00512)."""
        logsnr = torch.tensor([self.clock.logsnr(float(time)) for time in times], dtype=torch.float32)
        alpha = logsnr.sigmoid().to(clean.device).view(-1, *[1] * (clean.dim() - 1))
        signal, spread = alpha.sqrt(), (1 - alpha).sqrt()
        noisy = (signal * clean + spread * noise).to(clean.dtype)
        target = signal * noise - spread * clean if self.clock.prediction == "v_prediction" else noise
        return noisy, target.to(clean.dtype)

    def step(self, prediction: Tensor, index: int, steps: int, latents: Tensor) -> Tensor:
        """DDIM with η = 0 (arXiv 2010.02502, equation 12), computed in float32 at least."""
        now, after = self.clock.alpha_pair(index, steps)
        dtype = torch.promote_types(latents.dtype, torch.float32)
        x, guess = latents.to(dtype), prediction.to(dtype)
        signal, noise = now**0.5, (1 - now) ** 0.5
        if self.clock.prediction == "v_prediction":
            clean, epsilon = signal * x - noise * guess, signal * guess + noise * x
        else:
            clean, epsilon = (x - noise * guess) / signal, guess
        later: Tensor = after**0.5 * clean + (1 - after) ** 0.5 * epsilon
        return later.to(latents.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        scaled = latents / config.scaling_factor + (config.shift_factor or 0.0)
        batches = scaled.to(self.device, self.dtype).split(IMAGE_BATCH)
        images = [self.vae.decode(batch, return_dict=False)[0].float().cpu() for batch in batches]
        return (torch.cat(images) / 2 + 0.5).clamp(0, 1)


def load(text: StableDiffusionText, clock: DiffusionClock) -> StableDiffusionModel:
    """The model around its prompt side. Raises ModelError: tensors missing."""
    with quiet():
        unet = component(UNet2DConditionModel, text.folder / "unet", torch_dtype=text.dtype)
        vae = component(AutoencoderKL, text.folder / "vae", torch_dtype=text.dtype)
    if text.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # fused attention's backward is slow there
    for part in (unet, vae):
        part.to(text.device).eval().requires_grad_(False)
    told = {field.name: getattr(text, field.name) for field in fields(text)}
    fingerprint = weights.fingerprint(text.folder)
    return StableDiffusionModel(**told, clock=clock, denoiser=unet, vae=vae, fingerprint=fingerprint)
