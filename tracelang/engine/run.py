"""A bound plan's passes, in order, on a model; those of the closed form on its prompt side alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from tracelang.engine.cache import folder
from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.options import Options
from tracelang.engine.precision import bfloat16_pays
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass, BoundPlan
from tracelang.plan.family import Site
from tracelang.progress import Progress


def run(
    bound: BoundPlan,
    model: TextSide,
    progress: Progress | None = None,
    state_dir: Path | None = None,
    cache: Path | Callable[[], Path] | None = folder,
    autocast: bool | None = None,
    micro_batch: int | None = None,
    checkpointing: bool = False,
    weights: Callable[[Site], Tensor] | None = None,
) -> Edit:
    """The edit that a plan makes of the `model` that it is bound to, which afterwards is what it was. Where the plan
    `needs_no_model` its prompt side is enough.

    A plan whose every degree is 0 gives the empty edit. `state_dir` is where training saves itself every few steps and
    on Ctrl-C; the same call goes on from there, and leaves its files for the caller to remove. `cache` is the folder
    of trajectories, None for none. `autocast` trains the student in bfloat16; None: where `bfloat16_pays`. It changes
    the adapters' last digits, is part of a state's key, and stands in the figures of every adapter. `micro_batch` and
    `checkpointing` are those of `Options`, as are `weights`, by default the whole model's.

    Raises `EngineError`. Lets `KeyboardInterrupt` pass after saving.
    """
    if model.sites != bound.facts.sites:
        raise EngineError("the plan is bound to a model with other matrices; bind it to this one")
    edit = Edit()
    if not bound.plan.active:
        return edit
    refuse(bound, str(model.dtype))
    fast = bfloat16_pays(model) if autocast is None else autocast
    kept = cache() if callable(cache) else cache
    options = Options(
        progress, state_dir, kept, fast, micro_batch, checkpointing, weights or getattr(model, "weight", None)
    )
    for part in bound.passes:
        if not on_text(part) and not hasattr(model, "predict"):
            raise EngineError(f"{part.label}: the pass `{part.kind}` needs the whole model")
        edit = _engine(part).run(part, bound.plan, model, edit, options)
    return edit


def refuse(bound: BoundPlan, dtype: str) -> None:
    """Raise `EngineError` for a dtype whose range gradients fall out of: ask before loading."""
    trained = [part.label for part in bound.passes if not part.settings.closed_form]
    if bound.plan.active and trained and dtype.removeprefix("torch.") == "float16":
        raise EngineError(f"{trained[0]}: gradients fall out of float16's range; choose float32 or bfloat16")


def needs_no_model(bound: BoundPlan) -> bool:
    """Is all that the plan does a closed form? Then text states and matrices decide the edit, which come from files."""
    return not bound.plan.active or all(on_text(part) for part in bound.passes)


def on_text(part: BoundPass) -> bool:
    """Whether this pass runs no denoiser: a model's prompt side is enough, or that and the matrices in its files."""
    return bool(_engine(part).needs != "model")


def _engine(part: BoundPass) -> Any:
    """The file that carries out a pass of this kind."""
    return import_module(f"tracelang.engine.passes.{part.kind}")
