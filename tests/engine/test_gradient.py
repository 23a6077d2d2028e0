"""Less memory, the same gradient: a batch in parts, and blocks whose inner states are made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests import random_flux, random_sd
from tests.engine.plans import LATE, erasure, plan, run, steer, term
from tests.engine.toy import Toy
from tracelang.engine.batch import Batch
from tracelang.engine.edit import Edit
from tracelang.engine.gradient import accumulate
from tracelang.engine.lora import injected
from tracelang.engine.options import Options
from tracelang.models.protocol import Model
from tracelang.plan.layers import select
from tracelang.plan.types import ReadsSites
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion

DENOISER = ReadsSites("denoiser")
PROMPTS = ("a photo of a cat", "", "a dog", "a photo of a cat", "a red ship")


@pytest.fixture(scope="module", params=["sd", "flux"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sd":
        return StableDiffusion().load(random_sd.build(folder))
    return Flux().load(random_flux.build(folder))


@pytest.fixture
def step(model: Model) -> Iterator[Callable[[Options], tuple[float, list[Tensor], int]]]:
    """Loss, gradients and the bytes kept for them of a step on adapters at every matrix, none of them zero any more."""
    latents = model.noise(range(len(PROMPTS)))
    times = torch.tensor([model.clock.time(i / len(PROMPTS)) for i in range(len(PROMPTS))])
    batch = Batch(latents, times, PROMPTS, latents.flip(0), torch.linspace(0.5, 1.5, len(PROMPTS)))
    states = model.encode(list(PROMPTS))

    with injected(model, select(DENOISER, model.sites), 2, "test", 0) as adapters:
        parts = adapters.parts
        for part in parts:
            part.data += 0.01

        def taken(options: Options) -> tuple[float, list[Tensor], int]:
            kept = 0

            def keep(tensor: Tensor) -> Tensor:
                nonlocal kept
                kept += tensor.nbytes
                return tensor

            for part in parts:
                part.grad = None
            inside = model.checkpointed() if options.checkpointing else nullcontext()
            with inside, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss = accumulate(model, batch, states, options)
            return loss, [part.grad for part in parts if part.grad is not None], kept

        yield taken


@pytest.mark.parametrize("options", [Options(micro_batch=2), Options(micro_batch=1), Options(checkpointing=True)])
def test_the_gradient_is_the_same(options: Options, step: Callable[[Options], tuple[float, list[Tensor], int]]) -> None:
    whole, part = step(Options()), step(options)
    assert part[0] == pytest.approx(whole[0], rel=1e-5)
    assert len(whole[1]) == len(part[1]) and all(one.norm() > 0 for one in whole[1])
    for one, other in zip(whole[1], part[1], strict=True):
        assert (one - other).norm() <= 1e-4 * one.norm()
    assert (part[2] < 0.5 * whole[2]) == options.checkpointing


def test_a_model_checkpoints_inside_the_block_alone(model: Model) -> None:
    denoiser = model.denoiser
    assert not denoiser.is_gradient_checkpointing
    with model.checkpointed():
        assert denoiser.is_gradient_checkpointing
    assert not denoiser.is_gradient_checkpointing


def factors(edit: Edit) -> list[Tensor]:
    (adapter,) = edit.adapters
    return [change.dense() for change in adapter.factors.values()]


@pytest.mark.parametrize("gate", [None, LATE])
def test_an_adapter_trains_the_same_with_less_memory(gate: object, model: Model) -> None:
    settings = steer(on=DENOISER, steps=3, batch=4, trajectories=2, terms=(term("push"), term("keep")), gate=gate)
    asked = plan((erasure("cat"),), settings, preserve={"dog": 1.0})
    whole = factors(run(asked, model, cache=None, autocast=False))
    less = factors(run(asked, model, cache=None, autocast=False, micro_batch=3, checkpointing=True))
    assert all(one.norm() > 0 for one in whole)
    far = sum(float((one - other).norm()) for one, other in zip(whole, less, strict=True))
    assert far < 0.02 * sum(float(one.norm()) for one in whole)


def test_so_many_rows_are_computed_at_once(tmp_path: Path) -> None:
    asked, model = plan((erasure("cat"),), steer(steps=2)), Toy()
    run(asked, model, cache=None, autocast=False, micro_batch=7)
    assert model.evaluations[-6:] == [7, 7, 4] * 2


def test_a_run_goes_on_with_less_memory(tmp_path: Path) -> None:
    """What a run is called by on disk does not depend on it."""
    asked = plan((erasure("cat"),), steer(steps=6))

    def stop(what: str, done: int, of: int) -> None:
        if what.startswith("steering") and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(asked, Toy(), stop, tmp_path, cache=None, autocast=False)
    rest = Toy()
    went_on = run(asked, rest, None, tmp_path, cache=None, autocast=False, micro_batch=5)
    assert max(rest.evaluations[-12:]) == 5
    for one, other in zip(factors(run(asked, Toy(), cache=None, autocast=False)), factors(went_on), strict=True):
        assert (one - other).norm() <= 1e-3 * one.norm()
