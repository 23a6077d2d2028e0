"""Stable Diffusion's prompt side: the tokenizer at once, CLIP when a prompt has to be encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from tracelang.checkpoint import layout, weights
from tracelang.checkpoint.parts import blamed, encoder, placed, tokenizer
from tracelang.engine import text_cache
from tracelang.models.protocol import TextStates, TokenLayout
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt
from tracelang_sd import text


@dataclass(frozen=True)
class StableDiffusionText:
    """`TextSide`. `cache` is the folder that keeps states, None for none."""

    folder: Path
    sites: tuple[Site, ...]
    guidance: float
    tokenizer: CLIPTokenizer
    device: torch.device
    dtype: torch.dtype
    cache: Path | None

    @cached_property
    def text_encoder(self) -> CLIPTextModel:
        return encoder(CLIPTextModel, self.folder / "text_encoder", self.device, self.dtype)

    @property
    def conditions(self) -> Mapping[str, float]:
        return {"guidance": self.guidance}

    @property
    def prompt_encoder(self) -> text.ClipPromptEncoder:
        return text.ClipPromptEncoder(self.text_encoder, self.tokenizer)

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """`{"tokens": [n, L, d]}`, the last hidden states, every prompt padded to the tokenizer's length L."""
        if self.cache is None or not prompts:
            return self._encode(prompts)
        return text_cache.cached(self._name, prompts, self._encode, self.cache, self.device)

    def unconditional(self) -> TextStates:
        return self.encode([""])

    def layout(self, prompt: Prompt) -> TokenLayout:
        return text.layout(self.tokenizer, prompt)

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> TextStates:
        """Each prompt by itself, so that its states do not depend on what stands beside it."""
        with blamed(self.folder / "text_encoder", "run"):
            return self._states(prompts)

    def _states(self, prompts: Sequence[str]) -> TextStates:
        words = self.prompt_encoder
        if not prompts:
            shape = (0, self.tokenizer.model_max_length, words.table.shape[1])
            return TextStates({"tokens": words.table.new_zeros(shape)})
        # no attention mask: the models were trained with padding in view
        return TextStates.cat([words.encode(row) for row in torch.split(words.tokens(prompts), 1)])

    @cached_property
    def _name(self) -> str:
        """Of the encoder, for the cache."""
        facts = (str(self.dtype), self.device.type, self.tokenizer.model_max_length)
        return weights.prompt_side(self.folder, ("text_encoder",), ("tokenizer",), *facts)


def load(
    folder: Path, sites: tuple[Site, ...], guidance: float, device: str, dtype: str | None, cache: Path | None
) -> StableDiffusionText:
    """The prompt side of a folder that `check` has passed. Raises ModelError: a tokenizer, an unknown device."""
    stored = weights.find(folder / "unet").tensors[sites[0].tensor][1].dtype
    place, kind = placed(device, dtype, stored)
    clip = layout.read(folder / "text_encoder" / "config.json")
    words = tokenizer(CLIPTokenizer, folder / "tokenizer", clip["vocab_size"])
    words.model_max_length = min(words.model_max_length, clip.get("max_position_embeddings", 77))
    return StableDiffusionText(folder, sites, guidance, words, place, kind, cache)
