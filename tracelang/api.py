"""The steps after compiling, from Python: `bind`, `apply`, and what `apply` gives.

    plan = tracelang.compile("recipe.erase")
    applied = tracelang.apply(tracelang.bind(plan, "micro-sd"))
    applied.save("out")        # or applied.to(pipe)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.plan.bind import BoundPlan
from tracelang.plan.bind import bind as bind_folder
from tracelang.plan.types import Plan

if TYPE_CHECKING:
    from tracelang.engine.edit import Edit, Patch
    from tracelang.engine.protocol import Model

Report = Callable[[str, int, int], None]
"""`(what, done, all)`."""


@dataclass(frozen=True)
class Applied:
    """An edit of one model."""

    bound: BoundPlan
    model: Model
    edit: Edit

    def save(
        self, out: str | Path, *, emit: Sequence[str] = ("folder", "lora"), force: bool = False,
        root: str | Path | None = None,
    ) -> None:
        """Write OUT as LANGUAGE.md lays it out, whole or not at all.

        `root` is where the plan's sources are read from (default: the current folder). Raises OutputError where `out`
        exists and `force` is False, EngineError for a gated edit, ModelError where the base cannot take the edit.
        """
        from tracelang.checkpoint.save import save
        from tracelang.engine.errors import EngineError

        if self.edit.gate is not None:
            raise EngineError("an edit gated by noise level cannot be merged or exported; remove the setting `gate`")
        plan = self.bound.plan
        extra = {"device": str(self.model.device), "dtype": str(self.model.dtype).removeprefix("torch."),
                 "figures": self.edit.figures}
        save(
            Path(out), self.bound.folder, self.bound.family, self.edit.deltas(self.model), plan,
            sources(plan, Path(root or ".")), emit=emit, force=force, extra=extra,
        )

    def to(self, pipe: Any) -> Patch:
        """Patch a loaded diffusers pipeline in place; `undo()` of the result restores it bit for bit."""
        return self.edit.to(pipe)


def bind(plan: Plan, model: str | Path) -> BoundPlan:
    """The plan on a model's config: a folder, an embedded name or a hub id. Checks every weights file's header.

    Raises ModelError, SelectionError, WindowError; reads no weight.
    """
    from tracelang.checkpoint.locate import family_of, locate

    folder = locate(str(model))
    family = family_of(folder)
    family.check(folder)
    return bind_folder(plan, family, folder)


def apply(
    bound: BoundPlan, *, device: str | None = None, dtype: str | None = None, progress: Report | None = None,
    state: str | Path | None = None,
) -> Applied:
    """Compute the edit. `device` None: CUDA or MPS where there is one; `dtype` None: the model's own, float32 on a CPU.

    `state` is a folder in which training keeps itself: the same call goes on after an interruption.
    """
    from tracelang.engine.run import run

    model = bound.family.load(bound.folder, device or best_device(), dtype)
    edit = run(bound.plan, model, progress, Path(state) if state else None)
    return Applied(bound, model, edit)


def best_device() -> str:
    """`cuda` or `mps` where there is one, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def sources(plan: Plan, root: Path) -> dict[str, bytes]:
    """The files the plan was compiled from, as far as they are still what they were; else the plan as a recipe."""
    found = {}
    for source in plan.sources:
        path = root / source.path
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() == source.sha256:
            found[source.path] = data
    if not any(path.endswith(".erase") for path in found):
        from tracelang.plan.explain import explain

        found["explained.erase"] = explain(plan).encode()
    return found
