"""A Stable Diffusion model with weights, from plain diffusers and transformers parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from tracelang.checkpoint import weights
from tracelang.checkpoint.parts import component, line, quiet
from tracelang.engine.protocol import TextStates, TokenLayout
from tracelang.plan.family import ModelError, Site
from tracelang.plan.prompts import Prompt
from tracelang_sd import text
from tracelang_sd.clock import DiffusionClock

TEXT_BATCH, IMAGE_BATCH = 64, 8
STORED = {"F32": "float32", "F64": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class StableDiffusionModel:
    """`Model`: everything frozen and in evaluation mode; adapters attach to `denoiser`."""

    sites: tuple[Site, ...]
    clock: DiffusionClock
    guidance: float
    denoiser: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    vae: AutoencoderKL
    device: torch.device
    dtype: torch.dtype
    fingerprint: str

    @property
    def conditions(self) -> Mapping[str, float]:
        return {"guidance": self.guidance}

    def weight(self, site: Site) -> torch.nn.Parameter:
        """The site's matrix `[out, in]`: the frozen one, also under an adapter."""
        module = self.denoiser.get_submodule(site.module)
        parameter = getattr(module, "base_layer", module).weight
        assert isinstance(parameter, torch.nn.Parameter)
        return parameter

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TextStates:
        """`{"tokens": [n, L, d]}`, the last hidden states, every prompt padded to the tokenizer's length L."""
        parts = []
        for start in range(0, len(prompts), TEXT_BATCH):
            tokens = self.tokenizer(
                list(prompts[start : start + TEXT_BATCH]), padding="max_length", truncation=True,
                max_length=self.tokenizer.model_max_length, return_tensors="pt",
            )  # fmt: skip
            # no attention mask: the models were trained with padding in view
            parts.append(self.text_encoder(tokens.input_ids.to(self.device)).last_hidden_state)
        if not parts:
            shape = (0, self.tokenizer.model_max_length, self.text_encoder.config.hidden_size)
            parts.append(torch.zeros(shape, device=self.device, dtype=self.dtype))
        return TextStates({"tokens": torch.cat(parts)})

    def layout(self, prompt: Prompt) -> TokenLayout:
        return text.layout(self.tokenizer, prompt)

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """`[n, channels, h, w]`, standard normal; the same as a diffusers pipeline draws in float32 on the CPU."""
        config = self.denoiser.config
        size = config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        rows = [
            torch.randn((config.in_channels, height, width), generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
        return torch.stack(rows).to(self.device, self.dtype)

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        prediction = self.denoiser(latents, times.to(self.device), states.inputs["tokens"], return_dict=False)[0]
        assert isinstance(prediction, Tensor)
        return prediction

    @property
    def words(self) -> text.ClipWords:
        return text.ClipWords(self.text_encoder, self.tokenizer)

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


def load(
    folder: Path, sites: tuple[Site, ...], clock: DiffusionClock, guidance: float, device: str, dtype: str | None
) -> StableDiffusionModel:
    """Load a folder that `check` has passed. Raises ModelError: tensors missing, an unknown device."""
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError):
        raise ModelError(f"the device {device!r} cannot be used here; try cpu") from None
    if dtype is None:
        stored = weights.find(folder / "unet").tensors[sites[0].tensor][1].dtype
        dtype = "float32" if place.type == "cpu" else STORED[stored]
    kind: torch.dtype = getattr(torch, dtype)
    with quiet():
        unet = component(UNet2DConditionModel, folder / "unet", torch_dtype=kind)
        encoder = component(CLIPTextModel, folder / "text_encoder", dtype=kind)
        vae = component(AutoencoderKL, folder / "vae", torch_dtype=kind)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{folder / 'tokenizer'}: cannot be loaded ({line(error)})") from None
    if len(tokenizer) > encoder.config.vocab_size:
        raise ModelError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the text encoder fewer; not one model")
    tokenizer.model_max_length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    if place.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # fused attention's backward is slow there
        for part in (unet, vae):  # where convolutions are faster
            part.to(memory_format=torch.channels_last)
    for part in (unet, encoder, vae):
        part.to(place).eval().requires_grad_(False)
    fingerprint = weights.fingerprint(folder)
    return StableDiffusionModel(sites, clock, guidance, unet, encoder, tokenizer, vae, place, kind, fingerprint)
