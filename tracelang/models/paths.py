"""Text paths: a tokenizer, the encoder behind it, and what of that encoder's states a denoiser reads.

A new kind of encoder is a class here or in its family's package.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import CLIPTokenizer, T5TokenizerFast

from tracelang.models import configs
from tracelang.models.libraries import blamed
from tracelang.models.parts import encoder, tokenizer
from tracelang.models.protocol import TextStates, TokenLayout
from tracelang.models.streamed import held_or_streamed, is_streamed
from tracelang.plan.prompts import Prompt, spans

if TYPE_CHECKING:
    from transformers import CLIPTextModel, T5EncoderModel

MARKED = re.compile(r"([A-Za-z]{3,})</w>|\u2581([A-Za-z]{3,})")
PLAIN = re.compile(r"([A-Za-z]{3,})")


@dataclass(frozen=True)
class TextPath(ABC):
    """One path from a prompt to a text input, or to several where encoders share their tokens. `reads` is the input's
    name, as in `Site.reads`; every prompt is cut or padded to `length` tokens. The encoder lies in `folder` and is
    loaded when a prompt has to be encoded; the tokenizer lies in `tokens`.
    """

    reads: str
    folder: Path
    tokens: Path
    tokenizer: Any
    length: int
    device: torch.device
    dtype: torch.dtype
    start = 0
    """Tokens before a prompt's first."""
    causal = False
    """Has a state read the tokens up to its own, or all of them?"""

    @cached_property
    @abstractmethod
    def encoder(self) -> Any:
        """The encoder, frozen. Raises ModelError where a tensor is missing."""

    @abstractmethod
    def states(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """States `[n, L', d]` of ids `[n, L]` on the device; `embeddings` `[n, L, d]` stand in for the table's rows.

        Gradients flow, and no attention mask hides the padding: the models were trained with it in view.
        """

    def inputs(self, ids: Tensor, embeddings: Tensor | None = None) -> dict[str, Tensor]:
        """As `states`, by the text input that reads them."""
        return {self.reads: self.states(ids, embeddings)}

    @property
    def table(self) -> Tensor:
        """The embedding of every token id, `[V, d]`."""
        table: Tensor = self.encoder.get_input_embeddings().weight.detach()
        return table

    @property
    def components(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The folders that decide its states: of encoders, of tokenizers."""
        return (self.folder.name,), (self.tokens.name,)

    def words(self) -> set[str]:
        """The whole words of the tokenizer: entries that end a word in CLIP's kind, or begin one in T5's; of one that
        marks neither, all that are words.
        """
        entries = list(self.tokenizer.get_vocab())
        found = [list(filter(None, map(kind.fullmatch, entries))) for kind in (MARKED, PLAIN)]
        return {one[one.lastindex or 0].lower() for one in found[0] or found[1]}

    def ids(self, prompts: Sequence[str]) -> Tensor:
        """Token ids `[n, length]` on the CPU."""
        found = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        ids: Tensor = found.input_ids
        return ids

    def encode(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Each prompt by itself, so that its states do not depend on what stands beside it; a streamed encoder does so
        block by block.
        """
        with blamed(self.folder, "run"):
            ids = self.ids(prompts).to(self.device)
            parts = [ids] if is_streamed(self.encoder) else torch.split(ids, 1)
            found = [self.inputs(part) for part in parts]
            return {name: torch.cat([one[name] for one in found]) for name in found[0]}

    def layout(self, prompt: Prompt) -> TokenLayout:
        """Where the prompt's tokens stand, from the fast tokenizer's character offsets.

        Every occurrence of the phrase counts, case aside and as whole words where there is one such. A prompt too long
        loses its tail, and the phrase its tokens there. Raises ValueError where the text does not hold the phrase.
        """
        encoded = self.tokenizer(
            prompt.text, padding="max_length", truncation=True, max_length=self.length, return_offsets_mapping=True
        )
        end = sum(encoded["attention_mask"]) - 1
        places = spans(prompt)
        phrase = tuple(
            i
            for i, (begin, stop) in enumerate(encoded["offset_mapping"][:end])
            if i >= self.start and any(begin < last and first < stop for first, last in places)
        )
        return TokenLayout(self.start, end, self.length, phrase, self.causal)


@contextmanager
def embedded(encoder: Any, embeddings: Tensor | None) -> Iterator[None]:
    """Inside, an encoder that takes no embeddings itself has these in the place of its table's rows."""
    if embeddings is None:
        yield
        return
    hook = encoder.get_input_embeddings().register_forward_hook(lambda *_: embeddings)
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True)
class ClipPath(TextPath):
    """CLIP's last hidden states, or its pooled state `[n, 1, d]`."""

    pooled: bool = False
    start = 1
    causal = True

    @cached_property
    def encoder(self) -> CLIPTextModel:
        from transformers import CLIPTextModel  # seconds, and nothing asks for it where all states are known

        return encoder(CLIPTextModel, self.folder, self.device, self.dtype)

    def states(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        with embedded(self.encoder, embeddings):
            answer = self.encoder(ids)
        states: Tensor = answer.pooler_output[:, None] if self.pooled else answer.last_hidden_state
        return states


@dataclass(frozen=True)
class T5Path(TextPath):
    """The last hidden states of T5's encoder, which is streamed where it is too large to hold."""

    @cached_property
    def encoder(self) -> T5EncoderModel:
        from transformers import T5EncoderModel

        return held_or_streamed(T5EncoderModel, self.folder, "encoder.block", self.device, self.dtype)

    def states(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        states: Tensor = self.encoder(**({"input_ids": ids} if embeddings is None else {"inputs_embeds": embeddings}))[
            0
        ]
        return states


class PathEncoder:
    """`PromptEncoder` of some paths: the first takes ids and embeddings, the others encode the text that the ids spell.

    They have vocabularies of their own, so embeddings that stand in for the first's are not seen there.
    """

    def __init__(self, paths: Sequence[TextPath]) -> None:
        self._first, *self._others = paths
        self._tokenizer = self._first.tokenizer
        self.table = self._first.table
        self.free = torch.ones(len(self.table), dtype=torch.bool)
        self.free[len(self._tokenizer) :] = False
        self.free[torch.tensor(self._tokenizer.all_special_ids)] = False

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        return self._first.ids(prompts)

    def encode(self, ids: Tensor, embeddings: Tensor | None = None) -> TextStates:
        inputs = self._first.inputs(ids.to(self.table.device), embeddings)
        texts = self.spell(ids) if self._others else []
        for path in self._others:
            inputs |= path.inputs(path.ids(texts).to(path.device))
        return TextStates(inputs)

    def spell(self, ids: Tensor) -> list[str]:
        return [str(text).strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]


def clip(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    reads: str = "tokens",
    pooled: bool = False,
    encoder: str = "text_encoder",
    tokens: str = "tokenizer",
) -> ClipPath:
    """CLIP's path of the checkpoint in `folder`; the length is what its tokenizer and its encoder both allow.

    Raises ModelError for a tokenizer that is not the encoder's.
    """
    table = configs.read(folder / encoder / "config.json")
    words = tokenizer(CLIPTokenizer, folder / tokens, table["vocab_size"])
    words.model_max_length = min(words.model_max_length, table.get("max_position_embeddings", 77))
    return ClipPath(reads, folder / encoder, folder / tokens, words, words.model_max_length, device, dtype, pooled)


def t5(
    folder: Path,
    length: int,
    device: torch.device,
    dtype: torch.dtype,
    *,
    encoder: str = "text_encoder",
    tokens: str = "tokenizer",
) -> T5Path:
    """T5's path of the checkpoint in `folder`. Raises ModelError for a tokenizer that is not the encoder's."""
    words = tokenizer(T5TokenizerFast, folder / tokens, configs.read(folder / encoder / "config.json")["vocab_size"])
    return T5Path("tokens", folder / encoder, folder / tokens, words, length, device, dtype)
