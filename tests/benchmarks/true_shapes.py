"""One training step of a shipped recipe at a model's true shapes: seconds, and the most memory that it held.

Weights are random and made on the device, in the dtype that the model runs in: no copy of them lies anywhere else, and
no file. Text states and trajectories are random numbers of their true shapes, so no text encoder and no autoencoder is
needed. The step itself is the engine's own: the recipe bound to the model's sites and clock, adapters put in, a batch
drawn, its gradient accumulated, the optimiser's step. What comes before the training (sampling trajectories) is not in.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

import tracelang
from tests import random_flux, random_sd
from tracelang.engine import training
from tracelang.engine.batch import draw_batch
from tracelang.engine.edit import Edit
from tracelang.engine.options import Options
from tracelang.engine.rollout import Trajectories
from tracelang.engine.seeds import generator
from tracelang.engine.task import Task, task_of
from tracelang.models import diffusion, flow
from tracelang.models.latents import Grid, Packed
from tracelang.models.protocol import TextStates
from tracelang.plan.bind import bind
from tracelang.plan.family import Facts
from tracelang.semantics.passes.steer import Steer
from tracelang_flux import sites as flux_sites
from tracelang_flux.model import FluxModel
from tracelang_sd import sites as sd_sites
from tracelang_sd.model import StableDiffusionModel

RECIPE = """
erase "cat" toward "dog"
preserve "horse", "ship"
method trace { steer.on = denoiser }
"""
TRAJECTORIES = 4
"""Of the erased and of the preserved each: enough to draw a batch's rows from."""
NOWHERE = Path("random weights")


@dataclass(frozen=True)
class Shape:
    """A model's shapes; `states` are its text inputs' `[L, d]`, `rows` the rows that are computed at once at first."""

    name: str
    family: str
    config: dict[str, Any]
    states: dict[str, tuple[int, int]]
    dtype: torch.dtype
    rows: int
    side: int = 0
    """Of FLUX's pictures, in tokens."""


TINY_TEXT = (random_sd.TINY_TEXT["max_position_embeddings"], random_sd.TINY_UNET["cross_attention_dim"])
SHAPES = {
    "tiny-sd": Shape("tiny-sd", "sd1", random_sd.TINY_UNET, {"tokens": TINY_TEXT}, torch.float32, 8),
    "tiny-flux": Shape(
        "tiny-flux",
        "flux",
        random_flux.TINY_TRANSFORMER | {"guidance_embeds": True},
        {"tokens": (random_flux.LENGTH, 24), "pooled": (1, 16)},
        torch.float32,
        8,
        4,
    ),
    "sd14": Shape("sd14", "sd1", random_sd.SD14_UNET, {"tokens": (77, 768)}, torch.float32, 12),
    "flux-dev": Shape(
        "flux-dev",
        "flux",
        {key: value for key, value in random_flux.DEV_TRANSFORMER.items() if key[0] != "_"},
        {"tokens": (512, 4096), "pooled": (1, 768)},
        torch.bfloat16,
        4,
        64,
    ),
}
SMALL = ("tiny-sd", "tiny-flux")


class Invented:
    """Text states of their true shapes, of random numbers that each prompt has to itself."""

    shape: Shape

    def encode(self, prompts: Sequence[str]) -> TextStates:
        model: Any = self
        made = {}
        for name, shape in self.shape.states.items():
            rows = [torch.randn(*shape, generator=generator(name, prompt, 0, 0)) for prompt in prompts]
            made[name] = torch.stack(rows).to(model.device, model.dtype)
        return TextStates(made)


@dataclass(frozen=True)
class RandomSd(Invented, StableDiffusionModel):
    shape: Shape = SHAPES["tiny-sd"]


@dataclass(frozen=True)
class RandomFlux(Invented, FluxModel):
    shape: Shape = SHAPES["tiny-flux"]


def model_of(shape: Shape, device: torch.device) -> RandomSd | RandomFlux:
    """The model with random weights, frozen, made where it is used."""
    config = Path("config.json")
    told: dict[str, Any] = {"folder": NOWHERE, "paths": (), "cache": None, "vae": nn.Identity(), "shape": shape}
    told |= {"device": device, "dtype": shape.dtype, "fingerprint": f"0:{shape.name}"}
    with torch.random.fork_rng(), made_on(device, shape.dtype):
        torch.manual_seed(0)
        denoiser = (UNet2DConditionModel if shape.family == "sd1" else FluxTransformer2DModel)(**shape.config)
    told["denoiser"] = denoiser.eval().requires_grad_(False)
    if shape.family == "sd1":
        side, clock = shape.config["sample_size"], diffusion.clock(random_sd.SCHEDULER, config)
        latents = Grid((shape.config["in_channels"], side, side))
        found = sd_sites.sites(shape.config, config)
        return RandomSd(**told, sites=found, conditions={}, clock=clock, latents=latents, guidance=7.5)
    tokens = shape.side**2
    return RandomFlux(
        **told,
        sites=flux_sites.sites(shape.config, config),
        conditions={"embedded_guidance": 3.5},
        clock=flow.clock(random_flux.SCHEDULER, config, tokens, "FLUX.1"),
        latents=Packed((shape.config["in_channels"] // 4, 2 * shape.side, 2 * shape.side)),
        guidance=1.0,
    )


@contextmanager
def made_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Inside, modules come into being on the device and in the dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def taken(shape: Shape, device: torch.device, checkpointing: bool, say: Callable[[str], None] = print) -> None:
    """Make the model, and print one line of its step; with fewer rows at once where it does not fit."""
    begin = time.perf_counter()
    model = model_of(shape, device)
    size = sum(parameter.numel() for parameter in model.denoiser.parameters())
    waited(device)
    made = time.perf_counter() - begin
    rows = shape.rows
    while True:
        try:
            seconds, count, peak, trained, loss = step(model, Options(micro_batch=rows, checkpointing=checkpointing))
            break
        except torch.OutOfMemoryError:
            if rows == 1:
                raise
            rows = max(1, rows // 2)
        say(f"{shape.name}: out of memory; trying {rows} rows at once")  # outside, so that the failed step's are free
        torch.cuda.empty_cache()
    held = f"{peak / 2**30:.1f} GiB" if peak else "–"
    dtype, sites = str(shape.dtype).removeprefix("torch."), len(part_of(model)[1].sites)
    say(
        f"{shape.name:<10} {size / 1e9:>6.2f} {dtype:>9} {sites:>6} "
        f"{trained / 1e6:>8.1f} {count:>5} {rows:>8} {'yes' if checkpointing else 'no':>6} {seconds:>9.2f} {held:>10} "
        f"{made:>7.1f} {loss:>8.3f}"
    )


HEAD = (
    f"{'shapes':<10} {'10⁹':>6} {'':>9} {'':>6} {'10⁶':>8} {'':>5} {'rows':>8} {'check-':>6} {'seconds':>9} {'':>10} "
    f"{'seconds':>7}\n"
    f"{'':<10} {'frozen':>6} {'dtype':>9} {'sites':>6} {'trained':>8} {'rows':>5} {'at once':>8} {'point':>6} "
    f"{'a step':>9} {'peak':>10} {'to make':>7} {'loss':>8}"
)


def part_of(model: RandomSd | RandomFlux) -> tuple[Any, Any]:
    """The recipe's plan, and its training pass bound to the model."""
    plan = tracelang.compile(RECIPE)
    bound = bind(plan, Facts(model.shape.family, model.sites, model.clock))
    return plan, next(part for part in bound.passes if isinstance(part.settings, Steer))


def step(model: RandomSd | RandomFlux, options: Options) -> tuple[float, int, int, int, float]:
    """Seconds of a training step, its rows, the most bytes held (0 on a CPU), the trained numbers, and its loss."""
    plan, part = part_of(model)
    task = task_of(part, plan, model, plan.active[0], 0, options)
    erased, kept = (paths(model, task, group[:TRAJECTORIES]) for group in (task.erased, task.kept))
    task = replace(task, kept_weights=task.kept_weights[:TRAJECTORIES])
    with training._begun(model, Edit(), task, erased, kept) as run:
        trained = sum(lora.up.numel() + lora.down.numel() for lora in run.loras.values())
        some = draw_batch(task.slots, erased, kept, task.kept_weights, task.degree, torch.Generator().manual_seed(0))
        few = slice(0, options.micro_batch)
        cut = {name: getattr(some, name)[few] for name in ("latents", "times", "prompts", "targets", "weights")}
        run._descend(replace(some, **cut))  # kernels are chosen when they are first used
        waited(model.device)
        begin = time.perf_counter()
        run._step()
        waited(model.device)
        seconds = time.perf_counter() - begin
        peak = torch.cuda.max_memory_allocated(model.device) if model.device.type == "cuda" else 0
        return seconds, len(some.prompts), peak, trained, run.curve[-1]


def paths(model: RandomSd | RandomFlux, task: Task, group: Sequence[Any]) -> Trajectories:
    """Trajectories of random numbers, with the predictions that the terms ask for."""
    steps = task.settings.sampler_steps
    times = torch.tensor(model.clock.times(steps), dtype=torch.float64)

    def numbers(name: str) -> Tensor:
        shape = (len(group), steps, *model.latent_shape)
        return torch.randn(shape, generator=generator(name, group[0].prompt, 0, 0)).to(model.dtype)

    anchor = numbers("anchor") if group[0].anchor else None
    prompts = tuple(start.prompt for start in group)
    return Trajectories(prompts, times, numbers("latents"), numbers("conditional"), numbers("empty"), anchor)


def waited(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(names: Sequence[str], device: torch.device, checkpointing: bool) -> int:
    """A line for each of the shapes. On a CPU the true ones would take hours: they are refused."""
    large = [name for name in names if name not in SMALL]
    if large and device.type == "cpu":
        print(f"{', '.join(large)}: need a GPU; on a CPU there are {', '.join(SMALL)}", file=sys.stderr)
        return 2
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"one training step of `method trace {{ steer.on = denoiser }}`, torch {torch.__version__}, {where}")
    print(HEAD, flush=True)
    for name in names:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        taken(SHAPES[name], device, checkpointing, lambda line: print(line, flush=True))
    return 0
