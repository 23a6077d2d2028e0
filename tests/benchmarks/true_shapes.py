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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

import tracelang
from tests import random_flux, random_sd
from tracelang.engine import training
from tracelang.engine.batch import Batch
from tracelang.engine.gradient import accumulate
from tracelang.engine.lora import injected
from tracelang.engine.options import Options
from tracelang.engine.rollout import Start, Trajectories
from tracelang.engine.run import run
from tracelang.engine.seeds import generator
from tracelang.models import diffusion, flow
from tracelang.models.latents import Grid, Packed
from tracelang.models.protocol import TextStates
from tracelang.plan.bind import BoundPass, BoundPlan, bind
from tracelang.plan.family import Facts
from tracelang.plan.types import Method
from tracelang.semantics.passes.steer import Steer
from tracelang_flux import sites as flux_sites
from tracelang_flux.model import FluxModel
from tracelang_sd import sites as sd_sites
from tracelang_sd.model import StableDiffusionModel

RECIPE = """
erase "cat" toward "dog"
preserve "horse", "ship"
method trace { steer.on = denoiser  steer.steps = 1  steer.trajectories = 2 }
"""
"""Two trajectories are enough to draw a batch's rows from."""
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


@dataclass(frozen=True)
class Taken:
    """A step's seconds and rows, the most bytes held (0 on a CPU), its matrices, the trained numbers, its loss."""

    seconds: float
    rows: int
    peak: int
    sites: int
    trained: int
    loss: float


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
    told |= {"before": {}, "device": device, "dtype": shape.dtype, "fingerprint": f"0:{shape.name}"}
    with torch.random.fork_rng(), made_on(device, shape.dtype):
        torch.manual_seed(0)
        denoiser = (UNet2DConditionModel if shape.family == "sd1" else FluxTransformer2DModel)(**shape.config)
    told["denoiser"] = denoiser.eval().requires_grad_(False)
    if shape.family == "sd1":
        side, clock = shape.config["sample_size"], diffusion.clock(random_sd.SCHEDULER, config)
        latents = Grid((shape.config["in_channels"], side, side))
        found = sd_sites.sites(shape.config, config, shape.family)
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
            one = step(model, Options(micro_batch=rows, checkpointing=checkpointing))
            break
        except torch.OutOfMemoryError:
            if rows == 1:
                raise
            rows = max(1, rows // 2)
        say(f"{shape.name}: out of memory; trying {rows} rows at once")  # outside, so that the failed step's are free
        torch.cuda.empty_cache()
    held, dtype = f"{one.peak / 2**30:.1f} GiB" if one.peak else "–", str(shape.dtype).removeprefix("torch.")
    say(
        f"{shape.name:<10} {size / 1e9:>6.2f} {dtype:>9} {one.sites:>6} {one.trained / 1e6:>8.1f} {one.rows:>5} "
        f"{rows:>8} {'yes' if checkpointing else 'no':>6} {one.seconds:>9.2f} {held:>10} {made:>7.1f} {one.loss:>8.3f}"
    )


HEAD = (
    f"{'shapes':<10} {'10⁹':>6} {'':>9} {'':>6} {'10⁶':>8} {'':>5} {'rows':>8} {'check-':>6} {'seconds':>9} {'':>10} "
    f"{'seconds':>7}\n"
    f"{'':<10} {'frozen':>6} {'dtype':>9} {'sites':>6} {'trained':>8} {'rows':>5} {'at once':>8} {'point':>6} "
    f"{'a step':>9} {'peak':>10} {'to make':>7} {'loss':>8}"
)


def bound_to(model: RandomSd | RandomFlux) -> BoundPlan:
    """The recipe's training alone, bound to the model."""
    plan = tracelang.compile(RECIPE)
    passes = tuple(step for step in plan.method.passes if isinstance(step, Steer))
    plan = plan.model_copy(update={"method": Method(name=plan.method.name, passes=passes)})
    return bind(plan, Facts(model.shape.family, model.sites, model.clock))


def step(model: RandomSd | RandomFlux, options: Options) -> Taken:
    """What one step takes, in a training of that one step whose trajectories are invented."""
    bound, whole, seconds = bound_to(model), training.Training._step, list[float]()
    settings = bound.passes[0].settings
    assert isinstance(settings, Steer)
    warm(model, bound.passes[0], options)

    def timed(one: training.Training) -> None:
        waited(model.device)
        begin = time.perf_counter()
        whole(one)
        waited(model.device)
        seconds.append(time.perf_counter() - begin)

    how: dict[str, Any] = {"micro_batch": options.micro_batch, "checkpointing": options.checkpointing}
    with mock.patch.object(training, "record", invented), mock.patch.object(training.Training, "_step", timed):
        edit = run(bound, model, cache=None, autocast=False, **how)
    (figures,) = edit.figures[settings.label]
    peak = torch.cuda.max_memory_allocated(model.device) if model.device.type == "cuda" else 0
    trained = settings.rank * sum(sum(site.shape) for site in bound.sites)
    return Taken(seconds[0], figures["evaluations"]["trained"], peak, len(bound.sites), trained, figures["loss"][0])


def warm(model: RandomSd | RandomFlux, part: BoundPass, options: Options) -> None:
    """A gradient of as many rows as are computed at once: kernels are chosen when they are first used."""
    rows = options.micro_batch or 1
    latents, times = model.noise(range(rows)), torch.tensor([model.clock.time(0.5)]).expand(rows)
    batch = Batch(latents, times, ("a photo of a cat",) * rows, latents, torch.ones(rows))
    checkpointed = model.checkpointed() if options.checkpointing else nullcontext()
    with injected(model, part.sites, 8, "warm", 0), checkpointed:
        accumulate(model, batch, model.encode(batch.prompts), options)


def invented(
    model: RandomSd | RandomFlux, group: Sequence[Start], steps: int, *others: object, **more: object
) -> Trajectories:
    """In place of sampling: trajectories of random numbers, with the predictions that the terms ask for."""
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
