"""The family with weights: its two networks, and how they are called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from tracelang.models import configs
from tracelang.models.flow import FlowClock
from tracelang.models.latents import Grid
from tracelang.models.model import PipelineModel, part
from tracelang.models.parts import encoder, tokenizer
from tracelang.models.paths import TextPath
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import TextStates


class Block(nn.Module):
    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.to_k, self.to_v = (nn.Linear(text_width, width, bias=False) for _ in range(2))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        read = scaled_dot_product_attention(self.to_q(x), self.to_k(tokens), self.to_v(tokens))
        return torch.tanh(x + self.to_out(read))


class TinyTransformer(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(
        self, side: int = 4, channels: int = 4, width: int = 32, text_width: int = 24, layers: int = 2
    ) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(channels, width), nn.Linear(width, channels)
        self.blocks = nn.ModuleList(Block(width, text_width) for _ in range(layers))

    def forward(self, latents: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """The velocity at latents `[n, channels, side, side]`, times `[n]` and states `[n, L, text_width]`."""
        x = self.inner(latents.flatten(2).transpose(1, 2)) + times[:, None, None].to(latents)
        for block in self.blocks:
            x = block(x, tokens)
        return self.outer(x).transpose(1, 2).reshape(latents.shape)


class TinyTextConfig(PretrainedConfig):
    model_type = "tiny_text"

    def __init__(self, vocab_size: int = 16, width: int = 24, length: int = 10, **more: object) -> None:
        self.vocab_size, self.width, self.length = vocab_size, width, length
        super().__init__(**more)


class TinyTextModel(PreTrainedModel):
    """A state is its word, its place, and the mean of all words."""

    config_class = TinyTextConfig

    def __init__(self, config: TinyTextConfig) -> None:
        super().__init__(config)
        self.words, self.places = (
            nn.Embedding(config.vocab_size, config.width),
            nn.Embedding(config.length, config.width),
        )
        self.norm = nn.LayerNorm(config.width)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def forward(self, input_ids: Tensor, inputs_embeds: Tensor | None = None) -> Tensor:
        words = self.words(input_ids) if inputs_embeds is None else inputs_embeds
        return self.norm(words + self.places.weight[: words.shape[1]] + words.mean(1, keepdim=True))


@dataclass(frozen=True)
class TinyPath(TextPath):
    @cached_property
    def encoder(self) -> TinyTextModel:
        return encoder(TinyTextModel, self.folder, self.device, self.dtype)

    def states(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        return self.encoder(ids, embeddings)


@dataclass(frozen=True)
class TinyModel(PipelineModel):
    def unconditional(self) -> TextStates:
        """Zeros, not the empty prompt: so this family was trained."""
        return TextStates({name: torch.zeros_like(value) for name, value in self.encode([""]).inputs.items()})

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        return self.denoiser(latents, times.to(self.device), states.inputs["tokens"])


def path(folder: Path, device: torch.device, dtype: torch.dtype) -> TinyPath:
    size = configs.read(folder / "text_encoder" / "config.json")
    words = tokenizer(PreTrainedTokenizerFast, folder / "tokenizer", size["vocab_size"])
    return TinyPath("tokens", folder / "text_encoder", folder / "tokenizer", words, size["length"], device, dtype)


def load(text: PromptSide, clock: FlowClock) -> TinyModel:
    transformer, vae = part(text, TinyTransformer, "transformer"), part(text, AutoencoderKL, "vae")
    side, channels = transformer.config.side, transformer.config.channels
    return TinyModel.around(text, clock, transformer, vae, Grid((channels, side, side)), text.conditions["guidance"])
