"""The prompt side of FLUX: T5's tokens, where a phrase stands among them, and what CLIP's pooled state is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tracelang.checkpoint.streamed import is_streamed
from tracelang.models.protocol import TextStates, TokenLayout
from tracelang.plan.prompts import Prompt, spans


class T5PromptEncoder:
    """`PromptEncoder` of the T5 path. The pooled path follows with CLIP's plain encoding of what the ids spell.

    CLIP has a vocabulary of its own, so embeddings that stand in for T5's are not seen there.
    """

    def __init__(self, t5: Any, tokenizer: Any, length: int, clip: Any, clip_tokenizer: Any) -> None:
        self._t5, self._tokenizer, self._length = t5, tokenizer, length
        self._clip, self._clip_tokenizer = clip, clip_tokenizer
        self.table: Tensor = t5.get_input_embeddings().weight.detach()
        self.free = torch.ones(len(self.table), dtype=torch.bool)
        self.free[len(tokenizer) :] = False
        self.free[torch.tensor(tokenizer.all_special_ids)] = False

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        return _ids(self._tokenizer, prompts, self._length)

    def encode(self, ids: Tensor, embeddings: Tensor | None = None) -> TextStates:
        pooled = self._pooled(self.spell(ids))
        # no attention mask: FLUX was trained with padding in view
        told = {"input_ids": ids.to(self.table.device)} if embeddings is None else {"inputs_embeds": embeddings}
        return TextStates({"tokens": self._t5(**told)[0], "pooled": pooled})

    def states(self, prompts: Sequence[str]) -> TextStates:
        """As FluxPipeline encodes prompts: each tokenizer reads the text itself. Each prompt is encoded by itself, so
        that its states do not depend on what stands beside it; a streamed T5 does so block by block.
        """
        ids = self.tokens(prompts).to(self.table.device)
        parts = [ids] if is_streamed(self._t5) else torch.split(ids, 1)
        tokens = torch.cat([self._t5(input_ids=part)[0] for part in parts])
        return TextStates({"tokens": tokens, "pooled": torch.cat([self._pooled([prompt]) for prompt in prompts])})

    def spell(self, ids: Tensor) -> list[str]:
        return [str(text).strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def _pooled(self, texts: Sequence[str]) -> Tensor:
        ids = _ids(self._clip_tokenizer, texts, self._clip_tokenizer.model_max_length)
        pooled: Tensor = self._clip(ids.to(self.table.device)).pooler_output
        return pooled[:, None]


def layout(tokenizer: Any, prompt: Prompt, length: int) -> TokenLayout:
    """The layout of a prompt padded to `length`, from the fast tokenizer's character offsets. T5 has no start token.

    Every occurrence of the phrase counts, case aside and as whole words where there is one such. A prompt too long
    loses its tail, and the phrase its tokens there. Raises ValueError where the text does not hold the phrase.
    """
    encoded = tokenizer(
        prompt.text, padding="max_length", truncation=True, max_length=length, return_offsets_mapping=True
    )
    end = sum(encoded["attention_mask"]) - 1
    places = spans(prompt)
    phrase = tuple(
        i
        for i, (begin, stop) in enumerate(encoded["offset_mapping"][:end])
        if any(begin < last and first < stop for first, last in places)
    )
    return TokenLayout(0, end, length, phrase, causal=False)


def _ids(tokenizer: Any, texts: Sequence[str], length: int) -> Tensor:
    found = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    ids: Tensor = found.input_ids
    return ids
