"""Hard tokens: which may stand in a prompt, and a search for them through the denoiser, the best that can be typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tracelang.evidence.attacks.attack import EXAMPLES, SKIPPED, AttackError, Found, Target
from tracelang.evidence.attacks.denoising import Views, gradient
from tracelang.models.protocol import Model, PromptEncoder, TextStates


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


@dataclass
class Search:
    """`n` rows, each of free tokens before its `rests[i]`. Each keeps its best that can be typed."""

    attack: str
    model: Model
    seen: Views
    around: Frame
    rests: Sequence[Tensor]
    target: Target
    first: Tensor = field(init=False)
    best: Tensor = field(init=False)
    losses: Tensor = field(init=False)
    iterations: int = 0
    tokens: int = 0
    skipped: int = 0

    def try_(self, tokens: Tensor) -> Tensor:
        """The gradient of the loss by the embeddings of `tokens [n, k]`, `[n, k, d]`."""
        words, k = self.model.prompt_encoder, tokens.shape[1]
        ids = torch.cat(
            [self.around.ids(torch.cat([own, rest])[None]) for own, rest in zip(tokens, self.rests, strict=True)]
        )
        place = words.table.device
        start = self.around.start

        def encode(part: slice, free: Tensor) -> TextStates:
            rows = words.table[ids[part].to(place)]
            full = torch.cat([rows[:, :start], free.to(rows.dtype), rows[:, start + k :]], 1)
            return words.encode(ids[part], full)

        held = words.table[tokens.to(place)].float()
        if start + k >= ids.shape[1]:
            raise AttackError(f"{self.attack}: {k} free tokens do not fit into prompts of {ids.shape[1]}; give fewer")
        loss, pull = gradient(self.attack, self.model, self.seen, held, encode)
        able = typed(words, ids)
        drawable = torch.tensor(self.target.drawable(words.spell(ids))) if self.target.guarded else able
        self.skipped += int((able & ~drawable).sum())
        able &= drawable
        loss = loss.cpu()
        if not self.iterations:
            self.first, self.best = loss, ids
            self.losses = torch.where(able, loss, float("inf"))
        better = able & (loss < self.losses)
        self.best = torch.where(better[:, None], ids, self.best)
        self.losses = torch.where(better, loss, self.losses)
        self.iterations, self.tokens = self.iterations + 1, k
        return pull

    def found(self, spent: dict[str, int | float | str], base: int = 0) -> Found:
        """The rows' best prompts, dealt to `count` rows. `base`: predictions asked of the base model.

        A row of which no tokens could be typed takes the best of another's.
        """
        able = torch.isfinite(self.losses)
        if not able.any():
            why = f" or speaks of what is protected ({self.skipped} did)" if self.skipped else ""
            raise AttackError(f"{self.attack}: none of the token sequences it tried survives being typed{why}")
        order = [i if able[i] else int(self.losses.argmin()) for i in range(len(self.best))]
        prompts = spelled(self.model.prompt_encoder, [self.best[i] for i in order])
        n = len(self.best)
        cost: dict[str, int | float | str] = {
            "access": "white box",
            "prompts": n,
            "tokens": self.tokens,
            "iterations": self.iterations,
            "views": len(self.seen),
            "evaluations": n * len(self.seen) * self.iterations + base,
            "loss_first": float(self.first.mean()),
            "loss_best": float(self.losses[able].mean()),
            **spent,
            **({SKIPPED: self.skipped} if self.skipped else {}),
        }
        ranked = sorted(dict.fromkeys(order), key=lambda i: float(self.losses[i]))
        examples = tuple(prompts[order.index(i)] for i in ranked[:EXAMPLES])
        return Found(tuple(prompts[i % n] for i in range(self.target.count)), None, cost, None, examples)
