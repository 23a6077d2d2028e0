"""A pipeline with weights, from plain diffusers and transformers parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from tracelang.models import steady, weights
from tracelang.models.latents import Grid
from tracelang.models.libraries import quiet
from tracelang.models.parametrisation import Level, Parametrisation
from tracelang.models.parts import component
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import Attended, TextStates
from tracelang.plan.family import Clock, ModelError, Site

IMAGE_BATCH = 8


class Schedule(Clock, Protocol):
    """A clock that also says what is predicted, and where samplers step; `diffusion` and `flow` have one each."""

    @property
    def parametrisation(self) -> Parametrisation: ...

    def level(self, times: Tensor) -> Level:
        """Signal and noise, float32 tensors `[n]`, at `times` `[n]`."""
        ...

    def span(self, index: int, steps: int) -> tuple[Level, Level]:
        """The levels, numbers, between which one of `steps` sampler steps goes."""
        ...


@dataclass(frozen=True)
class PipelineModel(PromptSide, ABC):
    """`Model` but for `predict`: everything frozen and in evaluation mode; adapters attach to `denoiser`."""

    clock: Schedule
    denoiser: nn.Module
    vae: AutoencoderKL
    latents: Grid
    guidance: float
    fingerprint: str

    @classmethod
    def around(
        cls, text: PromptSide, clock: Schedule, denoiser: nn.Module, vae: nn.Module, latents: Grid, guidance: float
    ) -> Self:
        """The model of a prompt side, its parts put where that computes."""
        for part in (denoiser, vae):
            part.to(text.device).eval().requires_grad_(False)
        told = {field.name: getattr(text, field.name) for field in fields(text)}
        fingerprint = weights.fingerprint(text.folder)
        steady.refuse(text.before)  # the fingerprint is that of what was loaded
        return cls(
            **told, clock=clock, denoiser=denoiser, vae=vae, latents=latents, guidance=guidance, fingerprint=fingerprint
        )

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.latents.shape

    def weight(self, site: Site) -> nn.Parameter:
        """The site's matrix `[out, in]`: the frozen one, also under an adapter."""
        module = self.denoiser.get_submodule(site.module)
        parameter = getattr(module, "base_layer", module).weight
        assert isinstance(parameter, nn.Parameter)
        return parameter

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """`[n, *latent_shape]`, standard normal; what a diffusers pipeline draws in float32 on the CPU, and packs."""
        rows = [torch.randn(self.latents.drawn, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return self.latents.pack(torch.stack(rows)).to(self.device, self.dtype)

    @abstractmethod
    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor: ...

    def attended(self) -> AbstractContextManager[list[Attended]]:
        """No family has to tell: what asks for it is then refused."""
        raise ModelError(
            f"{self.folder}: its family does not tell what attends to the prompt, so no term can act on that"
        )

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        """Gradient checkpointing (arXiv 1604.06174), as diffusers has it in the denoiser's blocks."""
        denoiser: Any = self.denoiser
        if not getattr(denoiser, "_supports_gradient_checkpointing", False):
            raise ModelError(f"{self.folder}: its denoiser has no gradient checkpointing; leave it off")
        denoiser.enable_gradient_checkpointing()
        try:
            yield
        finally:
            denoiser.disable_gradient_checkpointing()

    def guided(self, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
        """Classifier-free guidance (arXiv 2207.12598)."""
        return unconditional + scale * (conditional - unconditional)

    def diffuse(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """`x = a x₀ + b n` at the clock's levels, and what the denoiser was trained to predict there."""
        each = (-1, *[1] * (clean.dim() - 1))
        signal, spread = (part.to(clean.device).view(each) for part in self.clock.level(times))
        noisy = signal * clean + spread * noise
        target = self.clock.parametrisation.target(clean, noise, (signal, spread))
        return noisy.to(clean.dtype), target.to(clean.dtype)

    def step(self, prediction: Tensor, index: int, steps: int, latents: Tensor) -> Tensor:
        """DDIM's or Euler's, as what is predicted asks for; computed in float32 at least."""
        dtype = torch.promote_types(latents.dtype, torch.float32)
        advance = self.clock.parametrisation.advance
        later: Tensor = advance(latents.to(dtype), prediction.to(dtype), *self.clock.span(index, steps))
        return later.to(latents.dtype)

    def levels(self, index: int, steps: int) -> tuple[Level, Level]:
        return self.clock.span(index, steps)

    def parts(self, prediction: Tensor, latents: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """Computed in float32 at least."""
        dtype = torch.promote_types(latents.dtype, torch.float32)
        clean, noise = self.clock.parametrisation.parts(latents.to(dtype), prediction.to(dtype), level)
        return clean.to(latents.dtype), noise.to(latents.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        scaled = self.latents.unpack(latents) / config.scaling_factor + (config.shift_factor or 0.0)
        batches = scaled.to(self.device, self.vae.dtype).split(IMAGE_BATCH)
        images = [self.vae.decode(batch, return_dict=False)[0].float().cpu() for batch in batches]
        return (torch.cat(images) / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def latents_of(self, images: Tensor) -> Tensor:
        config = self.vae.config
        batches = torch.split((images * 2 - 1).to(self.device, self.vae.dtype), IMAGE_BATCH)
        found = torch.cat([self.vae.encode(batch, return_dict=False)[0].mode() for batch in batches])
        return self.latents.pack((found - (config.shift_factor or 0.0)) * config.scaling_factor).to(self.dtype)


def part(text: PromptSide, kind: Any, name: str) -> Any:
    """A component in the prompt side's dtype. Raises ModelError where a tensor is missing."""
    with quiet():
        return component(kind, text.folder / name, torch_dtype=text.dtype)
