"""Sampling many prompts from a UNet and a text encoder with classifier-free guidance, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from . import vae as autoencoder
from .captions import TOKENS
from .diffusion import make_scheduler

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

GUIDANCE, SAMPLER_STEPS = 4.0, 20


@torch.no_grad()
def sample(
    prompts: Sequence[str], seeds: Sequence[int], unet: UNet2DConditionModel, text: CLIPTextModel,
    tokenizer: CLIPTokenizer, vae: AutoencoderKL, guidance: float = GUIDANCE, steps: int = SAMPLER_STEPS,
    batch: int = 100,
) -> torch.Tensor:
    """uint8 images `[n, 64, 64, 3]`: DDIM with `steps` steps in bfloat16, one noise seed per prompt."""
    def states(texts: Sequence[str]) -> torch.Tensor:
        ids = tokenizer(list(texts), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
        out: torch.Tensor = text(ids.input_ids).last_hidden_state
        return out

    made = []
    for begin in range(0, len(prompts), batch):
        words = prompts[begin : begin + batch]
        x = torch.stack([torch.randn((4, 16, 16), generator=torch.Generator().manual_seed(s))
                         for s in seeds[begin : begin + batch]])
        scheduler = make_scheduler()
        scheduler.set_timesteps(steps)
        with torch.autocast("cpu", torch.bfloat16):
            both = torch.cat([states([""]).expand(len(words), -1, -1), states(words)])
            for t in scheduler.timesteps:
                empty, full = unet(torch.cat([x, x]), t, both).sample.float().chunk(2)
                x = scheduler.step(empty + guidance * (full - empty), t, x).prev_sample
            made.append(autoencoder.decode(vae, x))
    return torch.cat(made)
