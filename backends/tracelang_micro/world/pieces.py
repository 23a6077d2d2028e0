"""Training in pieces: a loop that keeps its state on disk, so that it may be stopped and continued."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

PATIENCE = 180  # seconds after which a training keeps its state, however few steps that were


def autocast(device: str = "cpu") -> torch.autocast:
    """bfloat16 on a GPU and on a processor with matrix tiles for it (AMX); elsewhere nothing.

    Emulated it is slower; and with dot products alone (AVX512-BF16) a training step of `micro-sd` takes 1.4 times the
    processor time of float32.
    """
    kind = torch.device(device).type
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # private, and not in every version: absent means no
    pays = kind != "cpu" or (tiles is not None and tiles())
    return torch.autocast(kind, torch.bfloat16, enabled=pays, cache_enabled=False)  # a captured graph must not cache


def captured(module: torch.nn.Module, example: tuple[torch.Tensor, ...], device: str) -> torch.nn.Module:
    """`module` in training, for inputs like `example`; on a GPU its forward and backward are captured and replayed.

    Networks this small are otherwise bound by the launches of their kernels. The parameters stay `module`'s own.
    """
    if torch.device(device).type != "cuda":
        return module
    with autocast(device):
        replayed: torch.nn.Module = torch.cuda.make_graphed_callables(module, example)
    return replayed


def say(text: str) -> None:
    """One dated line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def keep(state: dict[str, object], file: Path) -> None:
    """Write `state` so that a stop at any moment leaves the old file or the new one."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, file)


def settle(folder: Path, defaults: dict[str, float]) -> None:
    """Finish a published pipeline folder: the sampler's defaults, no path of this machine, files that all may read."""
    (folder / "tracelang.json").write_text(json.dumps(defaults) + "\n")
    config = folder / "vae" / "config.json"
    settings = json.loads(config.read_text())
    settings.pop("_name_or_path", None)  # where the part was loaded from
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o644)  # safetensors writes 0600


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
    """Call `once(step)` for every remaining step; log the mean loss and call `between` each `every` steps.

    `parts` are kept in `file` then, and every few minutes. `once` must draw all its randomness from `step`, so that a
    continued run equals an uninterrupted one.
    """
    step = 0
    if file.exists():
        held = torch.load(file, weights_only=True, map_location="cpu")
        step = held.pop("step")
        for key, part in parts.items():
            part.load_state_dict(held[key])
        say(f"{name}: continuing at step {step}")
    total, since, begin = 0.0, 0, time.monotonic()
    while step < steps:
        total += once(step)
        since += 1
        step += 1
        due = step % every == 0 or step == steps
        spent = time.monotonic() - begin
        if due or spent > PATIENCE:
            say(f"{name}: step {step}/{steps} loss {total / since:.4f} {since / spent:.2f} steps/s")
            if due and between:
                between(step)
            keep({"step": step, **{key: part.state_dict() for key, part in parts.items()}}, file)
            total, since, begin = 0.0, 0, time.monotonic()
