"""Where a phrase stands among a prompt's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tracelang.models.protocol import TextStates, TokenLayout
from tracelang.plan.prompts import Prompt, spans


class ClipPromptEncoder:
    """`PromptEncoder` of a CLIP text encoder. It takes no embeddings itself: a hook puts them in the table's place."""

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        self._encoder, self._tokenizer = encoder, tokenizer
        self._layer = encoder.get_input_embeddings()
        self.table: Tensor = self._layer.weight.detach()
        self.free = torch.ones(len(self.table), dtype=torch.bool)
        self.free[len(tokenizer) :] = False
        self.free[torch.tensor(tokenizer.all_special_ids)] = False

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        found = self._tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self._tokenizer.model_max_length,
            return_tensors="pt",
        )
        ids: Tensor = found.input_ids
        return ids

    def encode(self, ids: Tensor, embeddings: Tensor | None = None) -> TextStates:
        hook = self._layer.register_forward_hook(lambda *_: embeddings) if embeddings is not None else None
        try:
            return TextStates({"tokens": self._encoder(ids.to(self.table.device)).last_hidden_state})
        finally:
            if hook is not None:
                hook.remove()

    def spell(self, ids: Tensor) -> list[str]:
        return [str(text).strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]


def layout(tokenizer: Any, prompt: Prompt) -> TokenLayout:
    """The layout of a prompt padded to the tokenizer's length, from the fast tokenizer's character offsets.

    Every occurrence of the phrase counts, case aside and as whole words where there is one such. A prompt too long
    loses its tail, and the phrase its tokens there. Raises ValueError where the text does not hold the phrase.
    """
    length = tokenizer.model_max_length
    encoded = tokenizer(
        prompt.text, padding="max_length", truncation=True, max_length=length, return_offsets_mapping=True
    )
    end = sum(encoded["attention_mask"]) - 1
    places = spans(prompt)
    phrase = tuple(
        i
        for i, (begin, stop) in enumerate(encoded["offset_mapping"][:end])
        if i and any(begin < last and first < stop for first, last in places)
    )
    return TokenLayout(1, end, length, phrase)
