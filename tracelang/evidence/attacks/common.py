"""What attacks share: the denoiser's error on noised latents of the concept, row by row, and its gradient; hard tokens;
and the search for them, the best that can be typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tracelang.engine.batches import batch_size
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.seeds import generator, seed
from tracelang.evidence.attacks.attack import EXAMPLES, SKIPPED, AttackError, Found, Target
from tracelang.models.protocol import Model, PromptEncoder, TextStates

ELEMENTS = 2**16
"""Latent elements in one batch with gradients: 4 of Stable Diffusion's."""
NOISIEST, CLEANEST = 0.05, 0.75
"""The stretch of sampling (progress) that attacks look at: there it is decided what a picture shows."""

Encode = Callable[[slice, Tensor], TextStates]
"""Text states of the rows of that slice, from their free embeddings `[n, k, d]`."""


@dataclass(frozen=True, slots=True)
class Views:
    """`n` rows with `v` noised latents each: `x [v, n, …]`, times `[v, n]`, and answers `[v, n, …]` wanted there."""

    x: Tensor
    times: Tensor
    wanted: Tensor

    def __len__(self) -> int:
        return len(self.x)


def views(target: Target, model: Model, purpose: str, n: int, v: int, draw: int = 0) -> Views:
    """Latents of the concept, dealt to the rows in turn and noised, `v` times a row over as many stretches of sampling.

    `wanted` is what the denoiser was trained to answer. `draw` numbers fresh noise.
    """
    g = generator(f"attack {purpose} times", target.name, draw, target.seed)
    spread = (torch.arange(v)[:, None] + torch.rand(v, n, generator=g)) / v
    times = torch.tensor(
        [[model.clock.time(NOISIEST + (CLEANEST - NOISIEST) * float(p)) for p in row] for row in spread]
    )
    x, wanted = [], []
    for k in range(v):
        first = (draw * v + k) * n
        clean = target.clean[[(first + i) % len(target.clean) for i in range(n)]].to(model.device, model.dtype)
        noise = model.noise([seed(f"attack {purpose}", target.name, first + i, target.seed) for i in range(n)])
        noisy, answer = model.diffuse(clean, noise, times[k])
        x.append(noisy)
        wanted.append(answer)
    return Views(torch.stack(x), times.to(model.device), torch.stack(wanted))


@torch.no_grad()
def answers(model: Model, seen: Views, states: TextStates) -> Views:
    """The same views, and wanted there what `model` predicts for the rows' `states`."""
    wanted = []
    for k in range(len(seen)):
        answered = [
            model.predict(seen.x[k, part], seen.times[k, part], states.rows(range(part.start, part.stop)))
            for part in parts(seen)
        ]
        wanted.append(torch.cat(answered))
    return Views(seen.x, seen.times, torch.stack(wanted))


def gradient(attack: str, model: Model, seen: Views, free: Tensor, encode: Encode) -> tuple[Tensor, Tensor]:
    """Mean squared error of each row over its views `[n]`, and its gradient by the free embeddings `[n, k, d]`.

    Only the embeddings get gradients. Raises `AttackError` where the loss is not finite, and in float16, where most of
    a gradient is rounded to nothing and the attack would fail for that alone.
    """
    if model.dtype == torch.float16:
        raise AttackError(f"{attack}: gradients fall out of float16's range; verify in float32 or bfloat16")
    losses, gradients = list[Tensor](), list[Tensor]()
    for part in parts(seen):
        leaf = free[part].detach().requires_grad_()
        loss = _error(model, seen, part, encode(part, leaf))
        gradients += torch.autograd.grad(loss.sum(), leaf)
        losses.append(loss.detach())
    loss, pull = torch.cat(losses), torch.cat(gradients)
    if not (torch.isfinite(loss).all() and torch.isfinite(pull).all()):
        raise AttackError(f"{attack}: the loss or its gradient is not finite; the model's predictions cannot be used")
    return loss, pull


def _error(model: Model, seen: Views, part: slice, states: TextStates) -> Tensor:
    """Mean squared error `[n]` of rows over all their views, asked in one batch."""
    x, times, wanted = (of[:, part].flatten(0, 1) for of in (seen.x, seen.times, seen.wanted))
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16_pays(model)):
        guess = model.predict(x, times, states.rows([*range(len(states))] * len(seen)))
    return (guess.float() - wanted.float()).square().flatten(1).mean(1).view(len(seen), -1).mean(0)


def parts(seen: Views) -> Iterator[slice]:
    """Slices of the rows, as many at once as `ELEMENTS` allows with all their views."""
    n = seen.x.shape[1]
    size = batch_size(seen.x[:, 0].shape, ELEMENTS, n)
    return (slice(begin, min(begin + size, n)) for begin in range(0, n, size))


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
