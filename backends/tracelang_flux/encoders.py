"""FLUX's prompt side: two tokenizers at once, T5 and CLIP when a prompt has to be encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from tracelang.checkpoint import weights
from tracelang.checkpoint.parts import blamed, encoder, placed, tokenizer
from tracelang.checkpoint.streamed import held_or_streamed
from tracelang.engine import text_cache
from tracelang.models.protocol import TextStates, TokenLayout
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt
from tracelang_flux import config, text
from tracelang_flux.config import Settings

BATCH = 64
"""Prompts at a time; a streamed T5 is read once for each batch."""


@dataclass(frozen=True)
class FluxText:
    """`TextSide`. `cache` is the folder that keeps states, None for none."""

    folder: Path
    sites: tuple[Site, ...]
    settings: Settings
    tokenizer: CLIPTokenizer
    tokenizer_2: T5TokenizerFast
    device: torch.device
    dtype: torch.dtype
    cache: Path | None

    @cached_property
    def text_encoder(self) -> CLIPTextModel:
        return encoder(CLIPTextModel, self.folder / "text_encoder", self.device, self.dtype)

    @cached_property
    def text_encoder_2(self) -> T5EncoderModel:
        where = self.folder / "text_encoder_2"
        return held_or_streamed(T5EncoderModel, where, "encoder.block", self.device, self.dtype)

    @property
    def conditions(self) -> Mapping[str, float]:
        """The scale of classifier-free guidance is 1: guidance is told to the model, if it is told any."""
        told = {} if self.settings.guidance is None else {"embedded_guidance": self.settings.guidance}
        return {"guidance": 1.0, **told, "size": self.settings.size, "tokens": self.settings.tokens}

    @property
    def prompt_encoder(self) -> text.T5PromptEncoder:
        return text.T5PromptEncoder(
            self.text_encoder_2, self.tokenizer_2, self.settings.tokens, self.text_encoder, self.tokenizer
        )

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """`{"tokens": [n, L, d], "pooled": [n, 1, d']}`: T5's last hidden states and CLIP's pooled one."""
        if self.cache is None or not prompts:
            return self._encode(prompts)
        return text_cache.cached(self._name, prompts, self._encode, self.cache, self.device)

    def unconditional(self) -> TextStates:
        return self.encode([""])

    def layout(self, prompt: Prompt) -> TokenLayout:
        """Of T5's tokens; the pooled state has but one place."""
        return text.layout(self.tokenizer_2, prompt, self.settings.tokens)

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> TextStates:
        with blamed(self.folder, "run"):  # one of the two text encoders
            return self._states(prompts)

    def _states(self, prompts: Sequence[str]) -> TextStates:
        words = self.prompt_encoder
        if not prompts:
            shapes = {
                "tokens": (0, self.settings.tokens, words.table.shape[1]),
                "pooled": (0, 1, self.text_encoder.config.hidden_size),
            }
            return TextStates({name: words.table.new_zeros(shape) for name, shape in shapes.items()})
        return TextStates.cat([words.states(prompts[i : i + BATCH]) for i in range(0, len(prompts), BATCH)])

    @cached_property
    def _name(self) -> str:
        """Of the encoders, for the cache."""
        encoders, tokenizers = ("text_encoder", "text_encoder_2"), ("tokenizer", "tokenizer_2")
        facts = (str(self.dtype), self.device.type, self.settings.tokens)
        return weights.prompt_side(self.folder, encoders, tokenizers, *facts)


def load(
    folder: Path, sites: tuple[Site, ...], settings: Settings, device: str, dtype: str | None, cache: Path | None
) -> FluxText:
    """The prompt side of a folder that `check` has passed. Raises ModelError: a tokenizer, an unknown device."""
    stored = weights.find(folder / "transformer").tensors[sites[0].tensor][1].dtype
    place, kind = placed(device, dtype, stored)
    clip = config.part(folder, "text_encoder", "model_type", "clip_text_model", "clip")
    t5 = config.part(folder, "text_encoder_2", "model_type", "t5")
    words = tokenizer(CLIPTokenizer, folder / "tokenizer", clip["vocab_size"])
    words.model_max_length = min(words.model_max_length, clip.get("max_position_embeddings", 77))
    words_2 = tokenizer(T5TokenizerFast, folder / "tokenizer_2", t5["vocab_size"])
    return FluxText(folder, sites, settings, words, words_2, place, kind, cache)
