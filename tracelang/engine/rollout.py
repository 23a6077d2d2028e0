"""Trajectories as data: the frozen model sampled once, with every prediction that the losses will ask for.

Guidance evaluates `pred(c)` and `pred(∅)` at every step anyway, so both come for free; `toward Y` adds `pred(Y)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TypeVar

import torch
from torch import Tensor

from tracelang.engine.batches import batch_size, batches
from tracelang.engine.errors import EngineError
from tracelang.engine.sampling import denoise, predict
from tracelang.engine.seeds import seed
from tracelang.models.protocol import Model, TextStates
from tracelang.progress import Progress

Row = TypeVar("Row")

ELEMENTS, MOST = 2**18, 64
"""Latent elements in one batch of trajectories: 16 of Stable Diffusion's, at most 64 of anything."""


@dataclass(frozen=True, slots=True)
class Start:
    """One trajectory to sample: its prompt, the anchor's prompt if there is one, and the seed of its noise."""

    prompt: str
    anchor: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the teachers predict at some places of trajectories, each `[n, …]` in float32: as in `Trajectories`, but
    `before` is there always.
    """

    conditional: Tensor
    empty: Tensor
    anchor: Tensor | None
    before: Tensor


@dataclass(frozen=True, slots=True)
class Looked:
    """What a term on attention knows of `n` trajectories: which rows of each one's prompt states are meant, and what
    the unedited model's attention `told` of it, `[n, S, …]`.
    """

    tokens: tuple[tuple[int, ...], ...]
    told: Tensor


@dataclass(frozen=True, slots=True)
class Trajectories:
    """`n` trajectories of `S` sampler steps, on the CPU in the model's dtype.

    `latents` are the `x_t [n, S, …]` before each step; `conditional`, `empty` and `anchor` the frozen model's raw
    predictions there for the prompt, the unconditional input and the anchor's prompt. `times [S]` is in the clock's
    unit. `before` is `conditional` of the model that the earlier passes left, at the steps where it was asked; None:
    that is the same. `looked` is by the label of the term.
    """

    prompts: tuple[str, ...]
    times: Tensor
    latents: Tensor
    conditional: Tensor
    empty: Tensor
    anchor: Tensor | None
    before: Tensor | None = None
    looked: Mapping[str, Looked] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    def seen(self, n: Tensor, s: Tensor) -> Seen:
        """The predictions for trajectories `n` at steps `s`."""
        conditional = self.conditional[n, s].float()
        return Seen(
            conditional,
            self.empty[n, s].float(),
            None if self.anchor is None else self.anchor[n, s].float(),
            conditional if self.before is None else self.before[n, s].float(),
        )

    @property
    def evaluations(self) -> int:
        """How many single predictions of the model it holds."""
        return len(self) * len(self.times) * (2 if self.anchor is None else 3)


Encode = Callable[[Sequence[str | None]], TextStates]
"""The states of some texts in their order; None is the unconditional input."""

Keep = Callable[[Sequence[Start], Callable[[], Trajectories]], Trajectories]
"""A batch: found where an earlier run left it, or made and left there."""


def starts(
    groups: Sequence[Sequence[tuple[str, str | None]]], count: int, purpose: str, base: int
) -> tuple[Start, ...]:
    """`count` trajectories dealt in turn over the groups, and inside each over its `(prompt, anchor's prompt)` pairs.

    The `i`-th belongs to group `i mod len(groups)`. Inside a group the order is shuffled, so that few trajectories
    still see every kind of prompt; each visit of a prompt has noise of its own.
    """
    shuffled = [sorted(dict.fromkeys(group), key=lambda pair: seed("order", pair[0], 0, base)) for group in groups]
    result = []
    for i in range(count):
        group, visit = shuffled[i % len(shuffled)], i // len(shuffled)
        prompt, anchor = group[visit % len(group)]
        result.append(Start(prompt, anchor, seed(purpose, prompt, visit // len(group), base)))
    return tuple(result)


def record(
    model: Model,
    starts: Sequence[Start],
    steps: int,
    guidance: float,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Trajectories:
    """Sample with classifier-free guidance, in batches, recording latents and raw predictions at every step.

    Raises `EngineError` where the model's prediction is not finite.
    """
    encode = encoder(model, [None, *(text for start in starts for text in (start.prompt, start.anchor))])
    parts = chunks(model, starts)
    made = []
    for number, batch in enumerate(parts):

        def step_done(step: int, before: int = number * steps) -> None:
            if progress is not None:
                progress("trajectories", before + step, len(parts) * steps)

        make = partial(_recorded, model, batch, encode, steps, guidance, step_done)
        made.append(make() if keep is None else keep(batch, make))
    return _joined(made)


def _recorded(
    model: Model,
    batch: Sequence[Start],
    encode: Encode,
    steps: int,
    guidance: float,
    step_done: Callable[[int], None],
) -> Trajectories:
    prompts = tuple(start.prompt for start in batch)
    asked = {"conditional": encode(prompts), "empty": encode([None] * len(batch))}
    anchors = [start.anchor for start in batch if start.anchor is not None]
    if anchors:
        asked["anchor"] = encode(anchors)
    visited, found = [], dict[str, list[Tensor]]({name: [] for name in asked})
    for step in denoise(model, asked, [start.seed for start in batch], steps, guidance):
        visited.append(step.x.cpu())
        for name, prediction in step.predictions.items():
            found[name].append(_finite(prediction, step.time).cpu())
        step_done(len(visited))
    times = torch.tensor(model.clock.times(steps), dtype=torch.float64)
    made = {name: torch.stack(parts, 1) for name, parts in found.items()}
    latents = torch.stack(visited, 1)
    return Trajectories(prompts, times, latents, made["conditional"], made["empty"], made.get("anchor"))


def _joined(parts: Sequence[Trajectories]) -> Trajectories:
    anchors = [part.anchor for part in parts if part.anchor is not None]
    return Trajectories(
        tuple(prompt for part in parts for prompt in part.prompts),
        parts[0].times,
        torch.cat([part.latents for part in parts]),
        torch.cat([part.conditional for part in parts]),
        torch.cat([part.empty for part in parts]),
        torch.cat(anchors) if anchors else None,
    )


def judged_by(
    model: Model, visited: Trajectories, starts: Sequence[Start], progress: Progress | None = None
) -> Trajectories:
    """The same latents, which an edited model may have visited, with this model's predictions there."""
    anchors = [start.anchor for start in starts if start.anchor is not None]
    ask = partial(predictions, model, visited, progress=progress)
    empty = ask([None] * len(visited))
    return replace(visited, conditional=ask(), empty=empty, anchor=ask(anchors) if anchors else None)


def predictions(
    model: Model,
    paths: Trajectories,
    prompts: Sequence[str | None] | None = None,
    *,
    steps: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """The model's predictions `[n, steps, …]` on the trajectories' latents, for their own prompts or for others, at
    every step or at some.

    Raises `EngineError` where one is not finite.
    """
    asked = paths.prompts if prompts is None else prompts
    at = range(len(paths.times)) if steps is None else steps
    encode = encoder(model, asked)
    parts = chunks(model, range(len(paths)))
    found = []
    for number, batch in enumerate(parts):
        rows = encode([asked[i] for i in batch])
        latents = paths.latents[batch[0] : batch[-1] + 1]
        made = []
        for i in at:
            time = float(paths.times[i])
            made.append(_finite(predict(model, latents[:, i].to(model.device), time, rows), time).cpu())
        found.append(torch.stack(made, 1))
        if progress is not None:
            progress("predictions", number + 1, len(parts))
    return torch.cat(found)


def _finite(prediction: Tensor, time: float) -> Tensor:
    if not torch.isfinite(prediction).all():
        raise EngineError(f"steer: the model's prediction at time {time:g} holds NaN or infinity")
    return prediction


def chunks(model: Model, rows: Sequence[Row]) -> list[Sequence[Row]]:
    """The batches of `record`, of one size."""
    return batches(rows, batch_size(model.latent_shape, ELEMENTS, MOST))


def encoder(model: Model, texts: Iterable[str | None]) -> Encode:
    """Each of the texts encoded once, when the first is asked for; None is the unconditional input."""
    row = {text: i for i, text in enumerate(dict.fromkeys(sorted(texts, key=lambda text: text is None)))}
    known = [text for text in row if text is not None]

    @cache
    def states() -> TextStates:
        parts = [model.encode(known)] if known else []
        return TextStates.cat([*parts, model.unconditional()] if None in row else parts)

    return lambda wanted: states().rows([row[text] for text in wanted])
