"""Trainable adapters in a model's denoiser, through peft, and out again without a trace."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.engine.seeds import generator
from tracelang.models.protocol import Model
from tracelang.plan.family import Site

NAME = "tracelang"


@dataclass(frozen=True, slots=True)
class Lora:
    """`ΔW = up @ down` of one site while it trains, float32; `up` starts at zero."""

    down: nn.Parameter
    up: nn.Parameter

    def factors(self) -> LowRank:
        """A copy as plain float64 factors."""
        return LowRank(exact(self.up.detach().clone()), exact(self.down.detach().clone()))


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters of some sites in training."""

    model: Model
    loras: Mapping[Site, Lora]

    @property
    def parts(self) -> list[nn.Parameter]:
        return [part for lora in self.loras.values() for part in (lora.up, lora.down)]

    live = parts

    def forget(self) -> None:
        for part in self.parts:
            part.grad = None

    def written(self) -> None:
        """They are what the model holds."""

    def copy(self) -> dict[str, Tensor]:
        return {
            f"{site.tensor} {part}": getattr(lora, part).detach().clone()
            for site, lora in self.loras.items()
            for part in ("up", "down")
        }

    def put(self, copied: Mapping[str, Tensor]) -> None:
        for site, lora in self.loras.items():
            for part in ("up", "down"):
                getattr(lora, part).data.copy_(copied[f"{site.tensor} {part}"])

    def off(self) -> AbstractContextManager[None]:
        return switched_off(self.model)

    def learnt(self) -> dict[Site, LowRank]:
        return {site: lora.factors() for site, lora in self.loras.items()}


@contextmanager
def injected(model: Model, sites: Sequence[Site], rank: int, purpose: str, base: int) -> Iterator[Adapters]:
    """A LoRA of `rank` at every site, `ΔW = 0` at first and `down` drawn from `(purpose, site, base)`.

    Inside the block only the adapters ask for gradients. Afterwards modules, weights and flags are what they were.
    Raises `EngineError` where a site is no linear layer of the denoiser.
    """
    denoiser = model.denoiser
    modules = dict(denoiser.named_modules())
    for site in sites:
        if not isinstance(modules.get(site.module), nn.Linear):
            raise EngineError(f"steer: {site.tensor} is no linear layer of the denoiser, so it cannot hold an adapter")
    if any(isinstance(module, LoraLayer) for module in modules.values()):
        raise EngineError("steer: the denoiser already holds adapters; unload them first")
    wanted = {id(parameter): parameter.requires_grad for parameter in denoiser.parameters()}
    names = "|".join(re.escape(site.module) for site in sites)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=f"(?:{names})", bias="none")
    had_config = hasattr(denoiser, "peft_config")
    try:
        with torch.random.fork_rng(devices=[]):
            inject_adapter_in_model(config, denoiser, NAME)
        denoiser.requires_grad_(False)
        yield Adapters(
            model, {site: _start(denoiser.get_submodule(site.module), site, purpose, base) for site in sites}
        )
    finally:
        for site in sites:
            layer = denoiser.get_submodule(site.module)
            if isinstance(layer, LoraLayer):
                parent, _, name = site.module.rpartition(".")
                setattr(denoiser.get_submodule(parent), name, layer.get_base_layer())
        if not had_config and hasattr(denoiser, "peft_config"):
            del denoiser.peft_config
        for parameter in denoiser.parameters():
            parameter.requires_grad_(wanted.get(id(parameter), False))


@contextmanager
def switched_off(model: Model) -> Iterator[None]:
    """The model without its adapter: the teacher."""
    layers = [module for module in model.denoiser.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
            layer.requires_grad_(False)
            for part in (layer.lora_A, layer.lora_B):
                part[NAME].requires_grad_(True)


def _start(layer: nn.Module, site: Site, purpose: str, base: int) -> Lora:
    assert isinstance(layer, LoraLayer)
    layer.lora_A[NAME].float()
    layer.lora_B[NAME].float()
    down, up = layer.lora_A[NAME].weight, layer.lora_B[NAME].weight
    bound = 1 / math.sqrt(site.shape[1])
    start = torch.rand(down.shape, generator=generator(purpose, site.tensor, 0, base)) * 2 * bound - bound
    with torch.no_grad():
        down.copy_(start)
        up.zero_()
    down.requires_grad_(True)
    up.requires_grad_(True)
    if site.columns is not None:
        inside = torch.zeros_like(down[0])
        inside[site.part] = 1
        down.data.mul_(inside)
        down.register_hook(lambda gradient: gradient * inside)  # so the other columns stay at zero
    return Lora(down, up)
