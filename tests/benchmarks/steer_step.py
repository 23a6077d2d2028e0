"""What a trained step costs: `python -m tests.benchmarks.steer_step [--model MODEL] [--device DEVICE]`.

Model evaluations (single predictions) and seconds per step of `steer`, whose trajectories and teacher predictions are
cached, against a loop that re-samples a partial 50-step trajectory with guidance for every step, as ESD does
(docs/methods.md §3.1). Without `--model`, on a small random model; `--model sd14` is a random one of SD 1.4's shapes.

`--shapes sd14 flux-dev --device cuda` instead prints seconds and peak memory of one training step of the recipe `trace`
on every attention and feed-forward matrix, at true shapes and with random weights (true_shapes.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tests import random_sd
from tests.benchmarks import true_shapes
from tests.engine.plans import WHOLE, erasure, plan, run, steer, term
from tracelang.engine.lora import injected, switched_off
from tracelang.models.locate import locate
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.layers import select
from tracelang.semantics.passes.steer import Steer
from tracelang_sd import StableDiffusion

SAMPLER_STEPS, GUIDANCE = 50, 3.0
ALL = (term("push", WHOLE), term("blank", weight=0.5), term("keep", weight=3.0))


class Counted:
    """A model that counts the rows it predicts, with and without gradients."""

    def __init__(self, model: Model) -> None:
        self.model, self.frozen, self.trained = model, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def predict(self, latents: torch.Tensor, times: torch.Tensor, states: TextStates) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.trained += len(latents)
        else:
            self.frozen += len(latents)
        return self.model.predict(latents, times, states)


def resampling(model: Counted, steps: int) -> float:
    """Seconds per step of the loop that samples anew for each: batch 1, `ε°(∅) − δ°(c)`, AdamW on a LoRA."""
    settings = steer()
    c, e = model.encode(["a cat"]), model.encode([""])
    both = TextStates.cat([c, e])
    times = model.clock.times(SAMPLER_STEPS)
    g = torch.Generator().manual_seed(0)
    with injected(model, select(settings.on, model.sites), 8, "benchmark", 0) as adapters:
        optimiser = torch.optim.AdamW(adapters.parts, lr=1e-4)
        begin = time.perf_counter()
        for step in range(steps):
            stop = int(torch.randint(SAMPLER_STEPS, (1,), generator=g))
            with torch.no_grad(), switched_off(model):
                x = model.noise([step])
                for i in range(stop + 1):
                    t = torch.full((2,), times[i], device=x.device)
                    with_prompt, without = model.predict(torch.cat([x, x]), t, both).chunk(2)
                    if i < stop:
                        x = model.step(without + GUIDANCE * (with_prompt - without), i, SAMPLER_STEPS, x)
            loss = (model.predict(x, t[:1], c) - (without - (with_prompt - without))).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            float(loss.detach())  # waits for a GPU, as `steer` does for its curve
        return (time.perf_counter() - begin) / steps


def cached(model: Counted, settings: Steer, autocast: bool) -> tuple[float, float]:
    """Seconds per step of `steer`, and the seconds its trajectories took once."""
    marks: list[float] = []

    def progress(what: str, done: int, of: int) -> None:
        if what.startswith("steering"):
            marks.append(time.perf_counter())

    begin = time.perf_counter()
    run(plan((erasure("cat"),), settings), model, progress, cache=None, autocast=autocast)
    each = (marks[-1] - marks[0]) / (len(marks) - 1)
    return each, marks[0] - begin - each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="an embedded name, a folder in diffusers layout, or sd14")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16, help="rows of erased prompts in a step")
    parser.add_argument(
        "--shapes", nargs="+", choices=list(true_shapes.SHAPES), help="one step at these shapes instead"
    )
    parser.add_argument("--no-checkpointing", action="store_true", help="with --shapes: keep inner states")
    options = parser.parse_args()
    if options.shapes:
        return true_shapes.main(options.shapes, torch.device(options.device), not options.no_checkpointing)
    with tempfile.TemporaryDirectory() as temporary:
        if options.model in (None, "sd14"):
            folder = random_sd.build(Path(temporary) / "random", config=options.model or "tiny")
        else:
            folder = locate(options.model)
        model = StableDiffusion().load(folder, options.device)
        where = f"{torch.get_num_threads()} threads" if model.device.type == "cpu" else options.device
        if model.device.type == "cuda":
            where = torch.cuda.get_device_name(model.device)
        print(f"{options.model or 'a small random model'}, {model.dtype}, {where}, {options.steps} steps")
        compare(model, options.steps, options.batch)
    return 0


def compare(model: Model, steps: int, batch: int) -> None:
    """Print the table, and what it comes to."""
    print(f"{'':<34} {'evaluations a step':>20} {'seconds':>9} {'seconds a':>10} {'once, before':>13}")
    print(f"{'':<34} {'frozen':>9} {'trained':>10} {'a step':>9} {'row':>10} {'the steps':>13}")
    resampling(Counted(model), 1)  # kernels are chosen when they are first used
    counted = Counted(model)
    baseline = resampling(counted, steps)
    show("re-sampled every step, 1 row", counted, steps, baseline, 0.0)
    fewer = {"rank": 8, "steps": steps, "trajectories": 16, "sampler_steps": 20}
    rows, ratios = 0, []
    for name, settings, autocast in (
        ("steer, push alone, 1 row", steer(batch=1, terms=(term("push", WHOLE),), **fewer), False),
        ("steer, all terms, {} rows", steer(batch=batch, terms=ALL, **fewer), False),
        ("the same in bfloat16", steer(batch=batch, terms=ALL, **fewer), True),
    ):
        counted = Counted(model)
        each, once = cached(counted, settings, autocast)
        ratios.append(baseline / each)
        rows = counted.trained // steps
        show(name.format(rows), counted, steps, each, once)
    print(
        f"a step of one row is {ratios[0]:.0f} times faster, of {rows} rows {ratios[1]:.1f} times ({ratios[2]:.1f} in "
        "bfloat16), than re-sampling one row"
    )


def show(name: str, counted: Counted, steps: int, each: float, once: float) -> None:
    trained = counted.trained / steps
    frozen, before = (counted.frozen / steps, "–") if not once else (0.0, f"{counted.frozen} in {once:.1f} s")
    print(f"{name:<34} {frozen:>9.1f} {trained:>10.1f} {each:>9.3f} {each / trained:>10.4f} {before:>13}")


if __name__ == "__main__":
    sys.exit(main())
