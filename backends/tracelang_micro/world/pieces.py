"""Training in pieces: a loop that keeps its state on disk, so that it may be stopped and continued."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tracelang.engine.precision import multiplies_bfloat16


def autocast() -> torch.autocast:
    """bfloat16 where the processor multiplies it itself; elsewhere nothing, since emulated it is slower."""
    return torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16())


def say(text: str) -> None:
    """One dated line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def keep(state: dict[str, object], file: Path) -> None:
    """Write `state` so that a stop at any moment leaves the old file or the new one."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, file)


def rate(step: int, steps: int, top: float, warm: int = 200, flat: float = 0.2, floor: float = 0.03) -> float:
    """Learning rate: linear warm-up, flat until `flat` of all steps, then cosine down to `floor` of `top`."""
    import math

    if step < warm:
        return top * (step + 1) / warm
    done = max(0.0, (step / steps - flat) / (1 - flat))
    return top * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def run(
    name: str,
    steps: int,
    once: Callable[[int], float],
    parts: dict[str, torch.nn.Module | torch.optim.Optimizer],
    file: Path,
    every: int = 500,
    between: Callable[[int], None] | None = None,
) -> None:
    """Call `once(step)` for every remaining step; keep `parts` in `file` each `every` steps and log the mean loss.

    `once` must draw all its randomness from `step`, so that a continued run equals an uninterrupted one.
    """
    step = 0
    if file.exists():
        held = torch.load(file, weights_only=True)
        step = held.pop("step")
        for key, part in parts.items():
            part.load_state_dict(held[key])
        say(f"{name}: continuing at step {step}")
    total, since, begin = 0.0, 0, time.monotonic()
    while step < steps:
        total += once(step)
        since += 1
        step += 1
        if step % every == 0 or step == steps:
            spent = time.monotonic() - begin
            say(f"{name}: step {step}/{steps} loss {total / since:.4f} {since / spent:.2f} steps/s")
            if between:
                between(step)
            keep({"step": step, **{key: part.state_dict() for key, part in parts.items()}}, file)
            total, since, begin = 0.0, 0, time.monotonic()
