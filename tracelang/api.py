"""The steps after compiling, from Python: `bind`, `apply` and what it gives, and `verify`.

    plan = tracelang.compile("recipe.erase")
    applied = tracelang.apply(tracelang.bind(plan, "micro-sd"))
    applied.save("out")        # or applied.to(pipe)
    tracelang.verify("out")    # .verdict, and out/report
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.plan.bind import BoundPlan
from tracelang.plan.bind import bind as bind_folder
from tracelang.plan.types import Plan

if TYPE_CHECKING:
    from tracelang.engine.edit import Edit, Patch
    from tracelang.engine.protocol import Model
    from tracelang.evidence import report
    from tracelang.evidence.judges import Judge

Report = Callable[[str, int, int], None]
"""`(what, done, all)`."""


@dataclass(frozen=True, slots=True)
class Bound(BoundPlan):
    """A bound plan, and what its model is called: an embedded name, a folder's own name or a hub id."""

    name: str = ""


@dataclass(frozen=True)
class Applied:
    """An edit of one model."""

    bound: Bound
    model: Model
    edit: Edit

    def save(
        self, out: str | Path, *, emit: Sequence[str] = ("folder", "lora"), force: bool = False,
        root: str | Path | None = None,
    ) -> None:
        """Write OUT as LANGUAGE.md lays it out, whole or not at all.

        `root` is where the plan's sources are read from (default: the current folder). Raises what `check_output`
        does, and ModelError where the base cannot take the edit.
        """
        from tracelang.checkpoint.save import save

        check_output(self.bound, out, emit=emit, force=force, root=root)
        plan = self.bound.plan
        extra = {"base_model": self.bound.name, "device": str(self.model.device),
                 "dtype": str(self.model.dtype).removeprefix("torch."), "conditions": dict(self.model.conditions),
                 "figures": self.edit.figures}
        save(
            Path(out), self.bound.folder, self.bound.family, self.edit.deltas(self.model), plan,
            sources(plan, Path(root or ".")), emit=emit, force=force, extra=extra,
        )

    def applied(self) -> AbstractContextManager[Model]:
        """The model with the edit in it, for the length of a block; afterwards it is bit for bit what it was.

        Use the model that is yielded: it is how a gated edit, which no file can hold, takes part.
        """
        from tracelang.engine.edit import applied

        return applied(self.model, self.edit)

    def to(self, pipe: Any) -> Patch:
        """Patch a loaded diffusers pipeline in place; `undo()` of the result restores it bit for bit."""
        return self.edit.to(pipe)


def bind(plan: Plan, model: str | Path) -> Bound:
    """The plan on a model's config: a folder, an embedded name or a hub id. Checks every weights file's header.

    Raises ModelError, BindError, SelectionError, WindowError; reads no weight.
    """
    from tracelang.checkpoint.locate import family_of, locate, title

    folder = locate(str(model))
    family = family_of(folder)
    family.check(folder)
    found = bind_folder(plan, family, folder)
    return Bound(**{field.name: getattr(found, field.name) for field in fields(found)}, name=title(str(model)))


def check_output(
    bound: Bound, out: str | Path, *, emit: Sequence[str] = ("folder", "lora"), force: bool = False,
    root: str | Path | None = None,
) -> None:
    """Raise what `Applied.save` would raise whatever the edit turns out to be: ask before training.

    OutputError for an `out` that exists (without `force`) or lies inside the base, for an unknown `emit`, a source
    outside of its root, and a gated edit; ModelError for a base that keeps a part of itself elsewhere.
    """
    from tracelang.checkpoint.save import refuse

    refuse(Path(out), bound.folder, bound.plan, sources(bound.plan, Path(root or ".")), emit, force)


def apply(
    bound: Bound, *, device: str | None = None, dtype: str | None = None, progress: Report | None = None,
    state: str | Path | None = None,
) -> Applied:
    """Compute the edit. `device` None: CUDA or MPS where there is one; `dtype` None: the model's own, float32 on a CPU.

    `state` is a folder in which training keeps itself: the same call goes on after an interruption.
    """
    from tracelang.engine.run import run

    model = bound.family.load(bound.folder, device or best_device(), dtype)
    edit = run(bound.plan, model, progress, Path(state) if state else None)
    return Applied(bound, model, edit)


def verify(
    out: str | Path, *, judges: Sequence[str | Judge] = (), device: str | None = None, dtype: str | None = None,
    model: str | None = None, progress: Report | None = None, **settings: Any,
) -> report.Report:
    """Measure the edit in OUT against its recipe's expectations, write OUT/report, and return the report.

    `judges` are `NAME[=VALUE]` or judges themselves; none: the installed ones that suit. `model` is the base where it
    was a folder. `settings` are those of `tracelang.evidence.verify.verify` (`samples`, `steps`, `budget`). An
    interrupted call goes on where it was. Raises EvidenceError, JudgeError, ModelError, CompileError.
    """
    from tracelang.evidence import verify as evidence

    found = evidence.verify(out, judges, device or best_device(), dtype, None, model, progress, **settings)
    assert found is not None
    return found


def best_device() -> str:
    """`cuda` or `mps` where there is one, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def sources(plan: Plan, root: Path) -> dict[str, bytes]:
    """The files the plan was compiled from, as far as they are still what they were; else the plan as a recipe."""
    from tracelang.semantics.paths import LIBRARY

    found = {}
    for source in plan.sources:
        for path in (root / source.path, LIBRARY / source.path):
            data = path.read_bytes() if path.is_file() else b""
            if hashlib.sha256(data).hexdigest() == source.sha256:
                found[source.path] = data
    if not any(path.endswith(".erase") for path in found):
        from tracelang.plan.explain import explain

        found["explained.erase"] = explain(plan).encode()
    return found
