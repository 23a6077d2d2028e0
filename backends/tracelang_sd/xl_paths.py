"""Stable Diffusion XL's prompt side: CLIP's and OpenCLIP's encoder over the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tracelang.models.libraries import blamed
from tracelang.models.parts import encoder
from tracelang.models.paths import ClipPath, TextPath, clip, embedded
from tracelang.plan.family import ModelError

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

STATES = -2
"""Which hidden states are read: those before the last layer, without the final norm."""


@dataclass(frozen=True)
class TwinPath(TextPath):
    """`tokens`, the hidden states of both encoders side by side, `[n, L, d₁ + d₂]`, and `pooled`, the projected state
    `[n, 1, d]` of the second. `second` has that one's encoder and tokenizer.

    The tokenizers have one vocabulary and pad differently: an id is that of the first. A token's embedding is the pair
    of what both encoders have for it; behind the end of the text the second always reads its own padding. That is `!`,
    which its tokenizer takes for padding in a text as well.
    """

    second: ClipPath
    start = 1
    causal = True

    @cached_property
    def encoder(self) -> CLIPTextModel:
        from transformers import CLIPTextModel

        return encoder(CLIPTextModel, self.folder, self.device, self.dtype)

    @cached_property
    def encoder_2(self) -> CLIPTextModelWithProjection:
        from transformers import CLIPTextModelWithProjection

        return encoder(CLIPTextModelWithProjection, self.second.folder, self.device, self.dtype)

    @property
    def table(self) -> Tensor:
        return torch.cat([self._table(one) for one in (self.encoder, self.encoder_2)], 1)

    @property
    def components(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (self.folder.name, self.second.folder.name), (self.tokens.name, self.second.tokens.name)

    def encode(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Each prompt by itself, and each encoder from its own tokenizer."""
        with blamed(self.folder, "run"):
            pairs = zip(self.ids(prompts), self.second.ids(prompts), strict=True)
            found = [self._states(one[None].to(self.device), two[None].to(self.device)) for one, two in pairs]
            return {name: torch.cat([one[name] for one in found]) for name in found[0]}

    def states(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        states: Tensor = self.inputs(ids, embeddings)[self.reads]
        return states

    def inputs(self, ids: Tensor, embeddings: Tensor | None = None) -> dict[str, Tensor]:
        padding, pad = self._padding(ids), self.second.tokenizer.pad_token_id
        first = second = None
        if embeddings is not None:
            width = self.encoder.config.hidden_size
            first, second = embeddings[..., :width], embeddings[..., width:]
            second = torch.where(padding[..., None], self._table(self.encoder_2)[pad], second)
        return self._states(ids, ids.masked_fill(padding, pad), first, second)

    def _states(
        self, ids: Tensor, ids_2: Tensor, embeddings: Tensor | None = None, embeddings_2: Tensor | None = None
    ) -> dict[str, Tensor]:
        with embedded(self.encoder, embeddings):
            one = self.encoder(ids, output_hidden_states=True)
        with embedded(self.encoder_2, embeddings_2):
            two = self.encoder_2(ids_2, output_hidden_states=True)
        tokens = torch.cat([one.hidden_states[STATES], two.hidden_states[STATES]], -1)
        return {"tokens": tokens, "pooled": two.text_embeds[:, None]}

    def _padding(self, ids: Tensor) -> Tensor:
        """Which ids `[n, L]` stand behind the end of the text: all from here on are the first tokenizer's padding, and
        where that is the end token itself, so is the one before.
        """
        last: Tensor = (ids == self.tokenizer.pad_token_id).flip(1).cumprod(1).flip(1).bool()
        if self.tokenizer.pad_token_id == self.tokenizer.eos_token_id:
            last[:, 1:] &= last[:, :-1].clone()
            last[:, 0] = False
        return last

    @staticmethod
    def _table(encoder: Any) -> Tensor:
        table: Tensor = encoder.get_input_embeddings().weight.detach()
        return table


def twin(folder: Path, device: torch.device, dtype: torch.dtype) -> TwinPath:
    """The path of the checkpoint in `folder`. Raises ModelError for a tokenizer that is not its encoder's, and for two
    of different vocabularies.
    """
    first = clip(folder, device, dtype)
    second = clip(folder, device, dtype, encoder="text_encoder_2", tokens="tokenizer_2")
    if first.tokenizer.get_vocab() != second.tokenizer.get_vocab() or first.length != second.length:
        raise ModelError(
            f"{folder}: tokenizer and tokenizer_2 have different tokens or lengths; SDXL's have the same, so download "
            "the model again"
        )
    told = (first.folder, first.tokens, first.tokenizer, first.length, device, dtype)
    return TwinPath("tokens", *told, second=replace(second, reads="pooled"))
