"""Hard prompts: sequences of token ids that come back from their own text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.models.protocol import PromptEncoder


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a prompt's own tokens go: after `head` (a start token, or nothing), before `tail` (end and padding)."""

    head: Tensor
    tail: Tensor

    @property
    def start(self) -> int:
        return len(self.head)

    def ids(self, content: Tensor) -> Tensor:
        """Ids `[n, L]` of prompts whose own tokens are `content [n, k]`; what does not fit is cut off."""
        n = len(content)
        content = content[:, : len(self.tail) - 1]
        rest = self.tail[: len(self.tail) - content.shape[1]]
        return torch.cat([self.head.expand(n, -1), content, rest.expand(n, -1)], 1)


def frame(words: PromptEncoder, prompt: str) -> Frame:
    """The frame of the model's prompts, read off any prompt that is not empty."""
    start = int(words.free[words.tokens([prompt])[0]].int().argmax())
    empty = words.tokens([""])[0]
    return Frame(empty[:start], empty[start:])


def content(words: PromptEncoder, prompt: str) -> Tensor:
    """The prompt's own tokens `[k]`."""
    ids = words.tokens([prompt])[0]
    return ids[words.free[ids]]


def vocabulary(words: PromptEncoder, around: Frame) -> Tensor:
    """Ids `[v]` of the tokens that a typed prompt can hold by themselves: spelled and read again they are the same.

    Pieces of words are not among them: beside each other they would be read as something else.
    """
    every = torch.arange(len(words.free))[words.free]
    return every[typed(words, around.ids(every[:, None]))]


def typed(words: PromptEncoder, ids: Tensor) -> Tensor:
    """Which rows `[n]` of ids are what the encoder is given once their text is typed in."""
    return (words.tokens(words.spell(ids)) == ids).all(1)


def spelled(words: PromptEncoder, rows: Sequence[Tensor]) -> tuple[str, ...]:
    return tuple(words.spell(torch.stack(list(rows))))
