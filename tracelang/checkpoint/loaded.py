"""What the programs that a file is for make of it: read back as they read it, and compared with the edit.

Hosts say next to nothing of a LoRA that they do not understand: a name that they do not know is passed over, a lost
alpha halves a layer. So nothing is published that was not loaded and measured.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracelang.checkpoint.output import OutputError
from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.models import configs
from tracelang.plan.family import ModelError, Site


def diffusers(path: Path, base: Path, component: str) -> dict[str, LowRank]:
    """The change of every module of a component, by name, after diffusers has put the file into a denoiser of the
    base's config, of zeros that take no memory. Raises ModelError where the pipeline reads no LoRA.
    """
    import diffusers as library
    import torch
    from accelerate import init_empty_weights
    from peft.tuners.lora import LoraLayer
    from torch import nn

    pipeline = loader(base)
    config = configs.read(base / component / "config.json")
    with init_empty_weights(), _quiet():
        denoiser = getattr(library, configs.named(base)[component][1]).from_config(config)
    for module in denoiser.modules():
        for name, meta in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.zeros(()).expand(meta.shape), requires_grad=False))
    options: dict[str, Any] = {"unet_config": denoiser.config} if component == "unet" else {}
    with _quiet(), _refused(path):
        told = pipeline.lora_state_dict(
            str(path.parent), weight_name=path.name, use_safetensors=True, local_files_only=True,
            return_lora_metadata=True, **options,
        )  # fmt: skip
        state, alphas, metadata = told[0], told[1] if len(told) == 3 else None, told[-1]
        denoiser.load_lora_adapter(
            state, prefix=component, network_alphas=alphas, metadata=metadata, low_cpu_mem_usage=True
        )
    found = {}
    for name, module in denoiser.named_modules():
        if isinstance(module, LoraLayer):
            ((adapter, down),), up = module.lora_A.items(), module.lora_B
            found[name] = LowRank(
                exact(up[adapter].weight.detach()) * module.scaling[adapter], exact(down.weight.detach())
            )
    return found


def loader(base: Path) -> Any:
    """The class of the base's pipeline. Raises ModelError where it reads no LoRA."""
    name = str(configs.index(base).get("_class_name"))
    with _quiet():
        import diffusers as library

        pipeline = getattr(library, name, None)
    if not hasattr(pipeline, "lora_state_dict"):
        raise ModelError(f"{base}: diffusers' {name} reads no LoRA; emit the folder")
    return pipeline


def compare(
    path: Path,
    host: str,
    found: Callable[[Site], LowRank | None],
    deltas: Mapping[Site, LowRank],
    room: Callable[[Site], float],
) -> dict[str, float]:
    """How far each matrix's change as loaded is from the edit's, in its norm, by the matrix's name.

    Raises OutputError naming the first that is missing, nothing, scaled, or further off than `room` allows.
    """
    told = {}
    for site, delta in deltas.items():
        norm = delta.norm()
        if not norm:
            continue
        loaded = found(site)
        size = loaded.norm() / norm if loaded is not None else 0.0
        if loaded is None or not size:
            raise OutputError(f"{path.name}: not written: {host} would read no change of {site.tensor} from it")
        apart = _apart(delta, loaded) / norm
        if apart > room(site):
            raise OutputError(
                f"{path.name}: not written: {host} would change {site.tensor} {size:.3g} times as much as the edit, "
                f"{apart:.2%} of it off"
            )
        told[site.tensor] = apart
    return told


def _apart(one: LowRank, other: LowRank) -> float:
    """‖one − other‖_F, without forming either; what the QR leaves of equal parts cancels exactly enough."""
    import torch

    left = torch.linalg.qr(torch.cat([one.up, -other.up], 1), mode="r")[1]
    right = torch.linalg.qr(torch.cat([one.down, other.down]).T, mode="r")[1]
    return float((left @ right.T).norm())


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Raises OutputError where the loader stops at the file, in whatever way it does."""
    try:
        yield
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OutputError(f"{path.name}: not written: diffusers would not load it ({reason})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """diffusers warns of a text encoder that the file leaves alone, as every one of ours does, and transformers, when a
    pipeline's class is read, of what it would do without torchvision.
    """
    import diffusers  # noqa: F401  (it sets the levels of its loggers when it is imported)
    import transformers  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def bound(errors: Mapping[str, float]) -> float:
    """The largest of the errors, rounded up to three digits: what is stated is a bound that a reader may hold us to."""
    return float(f"{1.005 * max(errors.values(), default=0.0):.3g}")
