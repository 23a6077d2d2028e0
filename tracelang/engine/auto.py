"""Windows chosen from the model: where along sampling it tells a concept from its anchor (docs/methods.md §3.6).

Pictures of the concept, the ends of its cached trajectories, are noised again at every level. There the frozen model
predicts for the concept's prompt `c`, the anchor's `a` (without one: the unconditional input) and for none, `∅`:

    Δ_t = mean_{i,ε}[D_a − D_c] / mean_{i,ε} D_∅,    D_p = mean ‖pred°(x_t, t, p) − target‖²

All three share pictures and noises, and what a prediction stands for (noise, v, velocity) is a factor of `t` that
cancels. The window is the hull of the levels at which `Δ_t` is at least a share of its largest and more than two
standard errors over the pictures, each level with half the way to its neighbours.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracelang.engine.cache import key as trajectories_key
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.rollout import Start, Trajectories, chunks, encoder
from tracelang.engine.sampling import predict
from tracelang.engine.seeds import seed
from tracelang.engine.task import Task
from tracelang.engine.training import Shared, frozen
from tracelang.models import store
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.bind import BindError, BoundPass, settled
from tracelang.plan.explain import window as written
from tracelang.plan.family import Clock
from tracelang.semantics.passes.steer import LEVELS, NOISES, PICTURES
from tracelang.semantics.values import Auto, Window

FORMAT = 1
FAR = 100.0
"""A log-SNR beyond every schedule's end: a window that reaches the end of the levels is open there."""
NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Told:
    """How well the model tells a concept from its anchor at `LEVELS` noise levels, noisiest first.

    `gain` is `D_a − D_c`, `empty` is `D_∅`, both `[PICTURES, LEVELS]` in float64, means over noises; `logsnr` are the
    levels.
    """

    logsnr: tuple[float, ...]
    gain: Tensor
    empty: Tensor

    @property
    def curve(self) -> Tensor:
        """`Δ_t [LEVELS]`."""
        return self.gain.mean(0) / self.empty.mean(0)

    @property
    def error(self) -> Tensor:
        """Its standard error over the pictures."""
        deviation: Tensor = self.gain.std(0)
        of_mean: Tensor = deviation / len(self.gain) ** 0.5 / self.empty.mean(0)
        return of_mean

    def hull(self, share: float) -> tuple[int, int] | None:
        """The first and the last level that pass; None where none does."""
        Δ = self.curve
        passing = torch.nonzero((share * Δ.max() <= Δ) & (2 * self.error < Δ)).flatten().tolist()
        return (passing[0], passing[-1]) if passing else None

    def window(self, asked: Auto) -> Window | None:
        """The window in log-SNR; None where nothing lies before it, or the model tells nothing."""
        found = self.hull(asked.share)
        if found is None:
            return None
        low, high = self._edge(found[0] - 1), self._edge(found[1])
        if asked.part == "inside":
            return Window("logsnr", low, high)
        return Window("logsnr", -FAR, low) if low > -FAR else None

    def inside(self, share: float) -> float:
        """How much of all that the model tells lies in the window of a share, 0..1."""
        found, Δ = self.hull(share), self.curve.clamp(min=0)
        return float(Δ[found[0] : found[1] + 1].sum() / Δ.sum()) if found else 0.0

    def _edge(self, level: int) -> float:
        """Half the way from a level to the next."""
        if level < 0 or level + 1 == len(self.logsnr):
            return -FAR if level < 0 else FAR
        return (self.logsnr[level] + self.logsnr[level + 1]) / 2

    def figures(self, part: BoundPass) -> dict[str, Any]:
        """For the record: the curve with its 95 % intervals, and each window that was chosen, as a recipe writes it."""
        Δ, half = self.curve, NORMAL * self.error
        windows = {}
        for one in part.windows:
            if isinstance(one.window, Auto):
                found = self.window(one.window)
                windows[one.label] = {
                    "written": written(one.window),
                    "chosen": None if found is None else written(found),
                    "logsnr": None if found is None else [found.low, found.high],
                    "inside": self.inside(one.window.share),
                }
        return {
            "logsnr": list(self.logsnr),
            "told": Δ.tolist(),
            "low": (Δ - half).tolist(),
            "high": (Δ + half).tolist(),
            "windows": windows,
        }


def told(model: Model, task: Task, known: Shared) -> Told:
    """What the model tells of a task's concept; `known` keeps the trajectories that had to be sampled for it.

    Level by level from the cache beside the trajectories, so that an interrupted run goes on where it was. Counts its
    predictions in the task. Raises `EngineError` where one is not finite.
    """
    (concept,) = task.erased
    starts, progress, clock = concept.starts[:PICTURES], task.options.progress, model.clock
    name = trajectories_key(model, concept.starts, task.settings.sampler_steps, task.guidance)
    where = task.options.cache
    levels, pictures = [], None
    for number, time in enumerate(clock.times(LEVELS)):
        facts = [FORMAT, name, LEVELS, NOISES, number, task.settings.seed]
        file = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        path = None if where is None else where / f"window-{file}.safetensors"
        found = _kept(path)
        if found is None:
            if pictures is None:
                pictures = ends(model, frozen(model, task, concept.starts, known), PICTURES, task.guidance)
            found = _level(model, task, starts, pictures, time)
            if path is not None:
                with contextlib.suppress(OSError):
                    store.keep(path, found)
        levels.append(found)
        if progress is not None:
            progress(f"window of {task.label}", number + 1, LEVELS)
    task.counts["frozen"] += LEVELS * PICTURES * NOISES * (2 if starts[0].anchor is None else 3)
    logsnr = tuple(clock.logsnr(time) for time in clock.times(LEVELS))
    return Told(logsnr, *(torch.stack([one[kind] for one in levels], 1) for kind in ("gain", "empty")))


def choose(found: Told, part: BoundPass, clock: Clock, concept: str, anchor: str | None) -> BoundPass:
    """The pass with the windows that the model chose for a concept.

    Raises `EngineError` where it does not tell the concept from its anchor, or the pass cannot act in its windows.
    """
    for one in part.windows:
        if isinstance(one.window, Auto) and found.hull(one.window.share) is None:
            than = "nothing at all" if anchor is None else repr(anchor)
            raise EngineError(
                f"{part.label}: the model does not tell {concept!r} from {than} at any noise level, so `auto` finds no "
                "window; choose another anchor, or write a range like `20%..100%`"
            )
    try:
        return settled(part, clock, found.window)
    except BindError as error:
        raise EngineError(f"{error} (chosen for {concept!r}); raise `sampler_steps`, or write a range") from error


def ends(model: Model, paths: Trajectories, count: int, guidance: float) -> Tensor:
    """The clean latents `[count, …]` in which trajectories end, on the model's device."""
    last, steps = len(paths.times) - 1, len(paths.times)
    x, conditional, empty = (
        part[:count, last].to(model.device) for part in (paths.latents, paths.conditional, paths.empty)
    )
    return model.step(model.guided(conditional, empty, guidance), last, steps, x)


@torch.no_grad()
def _level(model: Model, task: Task, starts: Sequence[Start], pictures: Tensor, time: float) -> dict[str, Tensor]:
    """`gain` and `empty` of every picture `[PICTURES]` at one noise level."""
    encode = encoder(model, [None, *(text for start in starts for text in (start.prompt, start.anchor))])
    sums = {kind: torch.zeros(len(starts), dtype=torch.float64) for kind in ("gain", "empty")}
    for batch in chunks(model, [(i, k) for i in range(len(starts)) for k in range(NOISES)]):
        rows = [starts[i] for i, _ in batch]
        noise = model.noise([seed("window", starts[i].prompt, i * NOISES + k, task.settings.seed) for i, k in batch])
        times = torch.full((len(batch),), time, device=model.device)
        x, target = model.diffuse(pictures[[i for i, _ in batch]], noise, times)
        asked = [encode([one.prompt for one in rows]), encode([None] * len(rows))]
        if rows[0].anchor is not None:
            asked.append(encode([one.anchor for one in rows]))
        predicted = torch.split(predict(model, x, time, TextStates.cat(asked)).float(), len(rows))
        D = [exact((one - target.float()).square().flatten(1).mean(1)) for one in predicted]
        if not all(torch.isfinite(one).all() for one in D):
            raise EngineError(f"{task.settings.label}: the model's prediction at time {time:g} holds NaN or infinity")
        index = torch.tensor([i for i, _ in batch])
        sums["gain"].index_add_(0, index, D[-1] - D[0])
        sums["empty"].index_add_(0, index, D[1])
    return {kind: total / NOISES for kind, total in sums.items()}


def _kept(path: Path | None) -> dict[str, Tensor] | None:
    held = None if path is None else store.read(path)
    shapes = {} if held is None else {name: tuple(one.shape) for name, one in held[0].items()}
    return held[0] if held is not None and shapes == {"gain": (PICTURES,), "empty": (PICTURES,)} else None
