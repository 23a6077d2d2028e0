"""A FLUX.1 model with weights, from plain diffusers and transformers parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from tracelang.checkpoint import weights
from tracelang.checkpoint.parts import component, line, quiet
from tracelang.engine.protocol import TextStates, TokenLayout
from tracelang.plan.family import ModelError, Site
from tracelang.plan.prompts import Prompt
from tracelang_flux import text
from tracelang_flux.attention import LONGEST, PlainAttention
from tracelang_flux.clock import FlowClock
from tracelang_flux.config import Settings

TEXT_BATCH, IMAGE_BATCH = 64, 8
STORED = {"F32": "float32", "F64": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class FluxModel:
    """`Model`: everything frozen and in evaluation mode; adapters attach to `denoiser`.

    Latents are packed `[n, side², 4 c]`, 2×2 of the autoencoder's to a token. What `predict` answers is the velocity
    `n − x₀`, with guidance told to the model as `settings` fixes it; so `guidance` is 1, one forward a step.
    """

    sites: tuple[Site, ...]
    clock: FlowClock
    settings: Settings
    denoiser: FluxTransformer2DModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    text_encoder_2: T5EncoderModel
    tokenizer_2: T5TokenizerFast
    vae: AutoencoderKL
    device: torch.device
    dtype: torch.dtype
    fingerprint: str
    guidance: float = 1.0

    @property
    def conditions(self) -> Mapping[str, float]:
        told = {} if self.settings.guidance is None else {"embedded_guidance": self.settings.guidance}
        return {"guidance": self.guidance, **told, "size": self.settings.size, "tokens": self.settings.tokens}

    def weight(self, site: Site) -> nn.Parameter:
        """The site's matrix `[out, in]`: the frozen one, also under an adapter."""
        module = self.denoiser.get_submodule(site.module)
        parameter = getattr(module, "base_layer", module).weight
        assert isinstance(parameter, nn.Parameter)
        return parameter

    @property
    def words(self) -> text.T5Words:
        return text.T5Words(
            self.text_encoder_2, self.tokenizer_2, self.settings.tokens, self.text_encoder, self.tokenizer
        )

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TextStates:
        """`{"tokens": [n, L, d], "pooled": [n, 1, d']}`: T5's last hidden states and CLIP's pooled one."""
        words = self.words
        parts = [words.states(prompts[i : i + TEXT_BATCH]) for i in range(0, len(prompts), TEXT_BATCH)]
        if not parts:
            widths = {"tokens": (self.settings.tokens, self.denoiser.config.joint_attention_dim),
                      "pooled": (1, self.denoiser.config.pooled_projection_dim)}  # fmt: skip
            empty = {name: torch.zeros((0, *w), device=self.device, dtype=self.dtype) for name, w in widths.items()}
            parts.append(TextStates(empty))
        return TextStates.cat(parts)

    def layout(self, prompt: Prompt) -> TokenLayout:
        """Of T5's tokens; the pooled state has but one place."""
        return text.layout(self.tokenizer_2, prompt, self.settings.tokens)

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
                hidden_states=latents, timestep=times, guidance=told, encoder_hidden_states=tokens,
                pooled_projections=pooled[:, 0], txt_ids=torch.zeros(tokens.shape[1], 3, device=self.device),
                img_ids=places(self.settings.side).to(self.device), return_dict=False,
            )[0]  # fmt: skip
        assert isinstance(velocity, Tensor)
        return velocity

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


def load(
    folder: Path, sites: tuple[Site, ...], clock: FlowClock, settings: Settings, device: str, dtype: str | None
) -> FluxModel:
    """Load a folder that `check` has passed. Raises ModelError: tensors missing, an unknown device."""
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError):
        raise ModelError(f"the device {device!r} cannot be used here; try cpu") from None
    if dtype is None:
        stored = weights.find(folder / "transformer").tensors[sites[0].tensor][1].dtype
        dtype = "float32" if place.type == "cpu" else STORED[stored]
    kind: torch.dtype = getattr(torch, dtype)
    with quiet():
        transformer = component(FluxTransformer2DModel, folder / "transformer", torch_dtype=kind)
        clip = component(CLIPTextModel, folder / "text_encoder", dtype=kind)
        t5 = component(T5EncoderModel, folder / "text_encoder_2", dtype=kind)
        vae = component(AutoencoderKL, folder / "vae", torch_dtype=kind)
        tokenizer = _tokenizer(CLIPTokenizer, folder / "tokenizer", clip)
        tokenizer_2 = _tokenizer(T5TokenizerFast, folder / "tokenizer_2", t5)
    tokenizer.model_max_length = min(tokenizer.model_max_length, clip.config.max_position_embeddings)
    if place.type == "cpu" and kind is torch.float32 and settings.side**2 + settings.tokens <= LONGEST:
        transformer.set_attn_processor(PlainAttention())
    if kind is torch.float32:
        for layer in (transformer.x_embedder, transformer.proj_out):  # under autocast: residual stream and answer
            layer.register_forward_hook(lambda module, inputs, output: output.float())
    for part in (transformer, clip, t5, vae):
        part.to(place).eval().requires_grad_(False)
    fingerprint = weights.fingerprint(folder)
    return FluxModel(
        sites, clock, settings, transformer, clip, tokenizer, t5, tokenizer_2, vae, place, kind, fingerprint
    )


def _tokenizer(kind: Any, folder: Path, encoder: Any) -> Any:
    try:
        tokenizer = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ModelError(f"{folder}: cannot be loaded ({line(error)})") from None
    if len(tokenizer) > encoder.config.vocab_size:
        raise ModelError(f"{folder}: has {len(tokenizer)} tokens, its text encoder fewer; they are not of one model")
    return tokenizer
