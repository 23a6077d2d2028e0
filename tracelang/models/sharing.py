"""Further models beside a base, in little more memory than what tells them from it; one that has learned nothing."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tracelang.models import weights
from tracelang.models.digests import recalled
from tracelang.models.libraries import quiet
from tracelang.models.model import PipelineModel
from tracelang.models.paths import TextPath
from tracelang.models.protocol import Model
from tracelang.plan.family import ModelError


def sharing(model: Model, base: Model) -> Model:
    """`model`, of which every tensor that is equal to the base's is the base's own; a text path that gives the base's
    states is the base's, whose encoder is loaded once.

    Who changes such a tensor in place changes both models: change a copy (`own`). A model that is not made of
    the kit's parts comes back as it is.
    """
    if not (isinstance(model, PipelineModel) and isinstance(base, PipelineModel)):
        return model
    for mine, theirs in ((model.denoiser, base.denoiser), (model.vae, base.vae)):
        _tie(mine, theirs)
    known = {_states(base, path): path for path in base.paths}
    return replace(model, paths=tuple(known.get(_states(model, path), path) for path in model.paths))


def own(module: nn.Module) -> nn.Module:
    """The same module, hooks and all, over the very same tensors, whose places can be given others."""
    tensors = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def drawn_anew(base: Model, seed: int) -> Model:
    """The base with a denoiser that has learned nothing: its weights as its own class draws them, from `seed`.

    All else, text encoders and autoencoder, is the base's own. Raises ModelError for a denoiser that no config makes.
    """
    kind: Any = type(base.denoiser)
    if not (isinstance(base, PipelineModel) and hasattr(kind, "from_config")):
        raise ModelError(f"{kind.__name__}: cannot be drawn anew; leave the control `random` out")
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: nn.Module = kind.from_config(base.denoiser.config)
    denoiser = own(base.denoiser)
    drawn = dict(fresh.named_parameters())
    for name, old in list(denoiser.named_parameters()):
        _put(denoiser, name, nn.Parameter(drawn[name].data.to(old.device, old.dtype), requires_grad=False))
    return replace(base, denoiser=denoiser, fingerprint=f"{base.fingerprint} drawn anew from {seed}")


def _tie(module: nn.Module, other: nn.Module) -> None:
    theirs = dict(other.named_parameters()) | dict(other.named_buffers())
    for name, mine in (*module.named_parameters(), *module.named_buffers()):
        held = theirs.get(name)
        if held is not None and held.dtype == mine.dtype and held.device == mine.device and torch.equal(held, mine):
            _put(module, name, held)


def _put(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    place, _, leaf = name.rpartition(".")
    holder = module.get_submodule(place)
    held = holder._parameters if leaf in holder._parameters else holder._buffers
    held[leaf] = tensor  # type: ignore[assignment]


def _states(model: PipelineModel, path: TextPath) -> str:
    """A name for all that decides a text path's states."""
    facts = (type(path).__name__, path.reads, path.length, str(path.dtype), str(path.device))
    return weights.prompt_side(model.folder, *path.components, *facts, digest=recalled)
