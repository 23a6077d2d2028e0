"""Training a denoiser's weights themselves, all of a matrix or what a mask leaves of it, and out again bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.semantics.passes.steer import BESIDE, STATE


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of some sites in training: `live` in the model's dtype, `parts` in float32, the same where that is
    the model's. `start` is what they were.
    """

    sites: Sequence[Site]
    live: Sequence[nn.Parameter]
    parts: Sequence[nn.Parameter]
    start: Sequence[Tensor]

    def forget(self) -> None:
        for part in (*self.live, *self.parts):
            part.grad = None

    @torch.no_grad()
    def written(self) -> None:
        for live, part in zip(self.live, self.parts, strict=True):
            if live is not part:
                live.copy_(part)

    def copy(self) -> dict[str, Tensor]:
        return {site.tensor: part.detach().clone() for site, part in zip(self.sites, self.parts, strict=True)}

    @torch.no_grad()
    def put(self, copied: Mapping[str, Tensor]) -> None:
        for site, part in zip(self.sites, self.parts, strict=True):
            part.copy_(copied[site.tensor])
        self.written()

    @contextmanager
    def off(self) -> Iterator[None]:
        trained = [live.data for live in self.live]
        for live, start in zip(self.live, self.start, strict=True):
            live.data = start
        try:
            yield
        finally:
            for live, data in zip(self.live, trained, strict=True):
                live.data = data

    def learnt(self) -> dict[Site, Tensor]:
        return {
            site: change(part.detach(), start)
            for site, part, start in zip(self.sites, self.parts, self.start, strict=True)
        }


def change(trained: Tensor, start: Tensor) -> Tensor:
    """`trained − start` as a matrix `[out, in]` in float32 on the CPU, the difference taken in float64."""
    return (exact(trained) - exact(start)).float().flatten(1)


@contextmanager
def unfrozen(model: Model, sites: Sequence[Site], masks: Mapping[Site, Tensor]) -> Iterator[Weights]:
    """The weights of the sites, asking for gradients: of columns that an edit may not change none, and of a site with a
    mask `[out, in]` of its numbers alone. Afterwards weights and flags are what they were.
    """
    denoiser = model.denoiser
    wanted = {id(one): one.requires_grad for one in denoiser.parameters()}
    live = [model.weight(site) for site in sites]
    start = [one.detach().clone() for one in live]
    parts = [one if one.dtype == torch.float32 else nn.Parameter(one.detach().float()) for one in live]
    hooks = []
    try:
        denoiser.requires_grad_(False)
        for site, own, part in zip(sites, live, parts, strict=True):
            own.requires_grad_(True)
            collecting = _collecting(part, _allowed(site, own, masks.get(site)))
            hooks.append(own.register_post_accumulate_grad_hook(collecting))  # type: ignore[no-untyped-call]
        yield Weights(sites, live, parts, start)
    finally:
        for hook in hooks:
            hook.remove()
        for own, before in zip(live, start, strict=True):
            own.grad = None
            own.data.copy_(before)
        for one in denoiser.parameters():
            one.requires_grad_(wanted[id(one)])


def _allowed(site: Site, weight: Tensor, mask: Tensor | None) -> Tensor | None:
    """1 where a number may change and 0 where not, in the weight's shape; None: all may."""
    if site.columns is None and mask is None:
        return None
    allowed = torch.zeros(site.shape, dtype=torch.bool)
    allowed[:, site.part] = True
    return (allowed if mask is None else allowed & mask).view(weight.shape).to(weight.device)


def _collecting(part: nn.Parameter, allowed: Tensor | None) -> Callable[[Tensor], None]:
    """Of every gradient what is allowed; where the optimiser steps a float32 copy, added up there."""

    def collect(own: Tensor) -> None:
        assert own.grad is not None
        if allowed is not None:
            own.grad.masked_fill_(~allowed, 0)
        if own is not part:
            part.grad = own.grad.float() if part.grad is None else part.grad.add_(own.grad)
            own.grad = None

    return collect


def refuse(model: Model, sites: Sequence[Site], state: Path | None, each: tuple[int, int] = (BESIDE, STATE)) -> None:
    """Raise `EngineError` where there is no room for `each` weight's bytes, in memory and on the disk that is to hold
    the `state`: before hours of work.
    """
    numbers = sum(site.size for site in sites)
    if model.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(model.device)
    else:
        free = int(psutil.virtual_memory().available)
    room = {f"of memory beside the model, and {model.device.type}": (each[0], free)}
    if state is not None:
        nearest = next(folder for folder in state.absolute().parents if folder.is_dir())
        room[f"of disk, and {nearest}"] = each[1], shutil.disk_usage(nearest).free
    for where, (size, left) in room.items():
        if numbers * size > left:
            raise EngineError(
                f"training {numbers:,} weights themselves takes {numbers * size / 1e9:.1f} GB {where} has "
                f"{left / 1e9:.1f} GB free; take fewer layers, or train adapters"
            )
