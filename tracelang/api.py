"""The steps after compiling, from Python: `bind`, `apply` and what it gives, and `verify`.

plan = tracelang.compile("recipe.erase")
applied = tracelang.apply(tracelang.bind(plan, "micro-sd"))
applied.save("out")        # or applied.to(pipe)
tracelang.verify("out")    # .verdict, and out/report
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models.family import Family, facts
from tracelang.plan.bind import BoundPass, BoundPlan
from tracelang.plan.bind import bind as bind_plan
from tracelang.plan.family import Site
from tracelang.plan.types import Plan
from tracelang.progress import Progress

if TYPE_CHECKING:
    from tracelang.checkpoint.folder import Untouched
    from tracelang.engine.edit import Edit, Patch
    from tracelang.evidence.judges import Judge
    from tracelang.evidence.schema import Report
    from tracelang.models.protocol import Model, TextSide
    from tracelang.models.steady import Seen


@dataclass(frozen=True, slots=True)
class Bound:
    """A plan bound to the model in `folder`; `name` is what that is called: an embedded name, a folder's or a file's
    own name, or a hub id. For a single file `folder` stands for it, and `config` says where the rest came from.
    `variant` is the one that was asked for, `on_model` is what binding worked out.
    """

    on_model: BoundPlan
    family: Family
    folder: Path
    name: str
    config: str | None = None
    variant: str | None = None

    @property
    def plan(self) -> Plan:
        return self.on_model.plan

    @property
    def passes(self) -> tuple[BoundPass, ...]:
        return self.on_model.passes

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every matrix that some pass changes, in the model's order."""
        return self.on_model.sites


@dataclass(frozen=True)
class Applied:
    """An edit of one model. `text` is what it was computed with: the prompt side, or the whole model. `before` is what
    the model's files were when that began.
    """

    bound: Bound
    text: TextSide
    edit: Edit
    before: Seen
    loaded: Model | None = None

    @cached_property
    def model(self) -> Model:
        """The model with weights; loaded now where the edit did not need it. Raises ModelError."""
        from tracelang.models import steady

        if self.loaded is not None:
            return self.loaded
        steady.refuse(self.before)
        dtype = str(self.text.dtype).removeprefix("torch.")
        return self.bound.family.load(self.bound.folder, str(self.text.device), dtype)

    def save(
        self,
        out: str | Path,
        *,
        emit: Sequence[str] | None = None,
        force: bool = False,
        root: str | Path | None = None,
        untouched: Untouched = "copy",
        params: Mapping[str, str] | None = None,
        lora_error: float = 0.01,
        lora_rank: int | None = None,
    ) -> tuple[str, ...]:
        """Write OUT as docs/commands.md lays it out, whole or not at all. Matrices are read from the base one by one.

        `emit` None: of a folder `folder` and `lora`, of a single file `single-file` and `lora`. `root` is where the
        plan's sources are read from (default: the current folder). `untouched` weights files of the base become copies,
        or hard links (`"link"`): no bytes and no time, but a later write to one is a write to both. `params` are those
        that the recipe was compiled with: `verify` compiles it again. A LoRA leaves out at most the share `lora_error`
        of each layer's change, 0 for none, or has `lora_rank` in every layer.
        Returns what is not in OUT as in the base, one line each. Raises what `check_output` does, and ModelError where
        the base cannot take the edit, or is no longer what the edit was computed on.
        """
        from tracelang.checkpoint.lora import Size
        from tracelang.checkpoint.merge import stored
        from tracelang.checkpoint.save import save
        from tracelang.models.locate import title

        check_output(self.bound, out, emit=emit, force=force, root=root, untouched=untouched, lora_rank=lora_rank)
        plan, base = self.bound.plan, self.bound.folder
        extra = {
            "base_model": self.bound.name,
            **({"config": title(self.bound.config)} if self.bound.config else {}),
            **({"variant": self.bound.variant} if self.bound.variant else {}),
            "device": str(self.text.device),
            "dtype": str(self.text.dtype).removeprefix("torch."),
            "conditions": dict(self.text.conditions),
            "figures": self.edit.figures,
        }
        return save(
            Path(out),
            base,
            self.bound.family,
            self.edit.deltas(partial(stored, base)),
            plan,
            sources(plan, Path(root or ".")),
            emit=emit,
            force=force,
            extra=extra,
            untouched=untouched,
            params=params,
            size=Size(lora_error, lora_rank),
            maps={} if self.edit.adapters or self.edit.turns or self.edit.trained else self.edit.maps,
            before=self.before,
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


def bind(plan: Plan, model: str | Path, *, config: str | Path | None = None, variant: str | None = None) -> Bound:
    """The plan on a model's config: a folder, a single file, an embedded name or a hub id. Checks every weights file's
    header. `config`: where a single file's configs, tokenizers and missing components come from, a folder, a hub id or
    the name of configs that are shipped. `variant`: which of a folder's variants of weights the model is run from, from
    now on and in this process; all of them are edited.

    Raises ModelError, BindError, SelectionError, WindowError; reads no weight.
    """
    from tracelang.models.locate import family_of, locate, title

    told = None if config is None else str(config)
    folder = locate(str(model), told, variant)
    family = family_of(folder)
    family.check(folder)
    return Bound(bind_plan(plan, facts(family, folder)), family, folder, title(str(model)), told, variant)


def check_output(
    bound: Bound,
    out: str | Path,
    *,
    emit: Sequence[str] | None = None,
    force: bool = False,
    root: str | Path | None = None,
    untouched: Untouched = "copy",
    lora_rank: int | None = None,
) -> None:
    """Raise what `Applied.save` would raise whatever the edit turns out to be: ask before training.

    OutputError for an `out` that exists (without `force`) or lies inside the base, for an unknown `emit`, a source
    outside of its root, a gated edit, and a place without room or hard links; ModelError for a base that keeps a part
    of itself elsewhere.
    """
    from tracelang.checkpoint import forms, room
    from tracelang.checkpoint.lora import Size
    from tracelang.checkpoint.save import refuse

    base, plan = bound.folder, bound.plan
    emit = forms.usual(base, plan) if emit is None else emit
    refuse(Path(out), base, plan, sources(plan, Path(root or ".")), emit, force)
    asked = forms.Asked(base, plan, bound.sites, untouched, Size(rank=lora_rank))
    written = [forms.form(kind) for kind in dict.fromkeys(emit)]
    room.refuse(Path(out), [form.foreseen(asked) for form in written if plan.active or form.EMPTY])


def check_weights(bound: Bound) -> None:
    """Raise ModelError where a component lacks a tensor that its config asks for, or a matrix that the plan edits holds
    NaN or infinity, or where a plan trains a single file without a VAE. Reads headers and these matrices alone.
    """
    from tracelang.checkpoint.merge import refuse
    from tracelang.engine.run import needs_no_model
    from tracelang.models import expected, weights
    from tracelang.models.single import reference

    if bound.plan.active:
        if not needs_no_model(bound.on_model):
            for name in weights.components(bound.folder):
                if reference.bare(bound.folder / name):
                    weights.find(bound.folder / name)
        expected.refuse(bound.folder)
        refuse(bound.folder, bound.sites)


def check_base(bound: Bound, emit: Sequence[str] | None = None) -> None:
    """Raise what `apply` and `Applied.save` would raise of the base, whatever OUT is and the edit turns out to be:
    ModelError.
    """
    from tracelang.checkpoint import folder, forms

    for kind in forms.usual(bound.folder, bound.plan) if emit is None else emit:
        forms.form(kind).refuse(bound.folder, bound.plan)
    folder.refuse(bound.folder)
    check_weights(bound)


def apply(
    bound: Bound,
    *,
    device: str | None = None,
    dtype: str | None = None,
    progress: Progress | None = None,
    state: str | Path | None = None,
    micro_batch: int | None = None,
    gradient_checkpointing: bool = False,
) -> Applied:
    """Compute the edit. `device` None: CUDA or MPS where there is one; `dtype` None: bfloat16 where
    the model is stored in it and the device is not the CPU, else float32. In float16 a plan that trains is refused.

    A plan that is all closed form loads no more than text encoders, and none whose states of the plan's prompts all lie
    in the user's cache folder; one that trains loads the model. `state` is a folder in which training keeps itself: the
    same call goes on after an interruption.

    `micro_batch` rows of a training step are computed at once (None: all of them), and with `gradient_checkpointing` a
    block's inner states are computed twice instead of kept: less memory for the same edit, up to the order of sums.
    """
    from tracelang.checkpoint.merge import stored
    from tracelang.engine.run import needs_no_model, refuse, run
    from tracelang.models import steady, text_cache

    refuse(bound.on_model, dtype or "")
    before = steady.checkpoint(bound.folder)
    check_weights(bound)
    told = (bound.folder, device or best_device(), dtype, text_cache.folder())
    if needs_no_model(bound.on_model):
        text = bound.family.text(*told)
        edit = run(bound.on_model, text, progress, weights=partial(stored, bound.folder))
        return Applied(bound, text, edit, before)
    model = bound.family.load(*told)
    memory: dict[str, Any] = {"micro_batch": micro_batch, "checkpointing": gradient_checkpointing}
    edit = run(bound.on_model, model, progress, Path(state) if state else None, **memory)
    return Applied(bound, model, edit, before, model)


def verify(
    out: str | Path,
    *,
    judges: Sequence[str | Judge] = (),
    device: str | None = None,
    dtype: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Report:
    """Measure the edit in OUT against its recipe's expectations, write OUT/report, and return the report.

    `judges` are `NAME[=VALUE]` or judges themselves; none: the installed ones that suit. `model` is the base where it
    was a folder. `settings` are those of `tracelang.evidence.verify.verify` (`samples`, `steps`, `budget`,
    `config`). An interrupted call goes on where it was. Raises EvidenceError, JudgeError, ModelError, CompileError.
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
        for path in (root / source.path, Path(LIBRARY, source.path)):
            data = path.read_bytes() if path.is_file() else b""
            if hashlib.sha256(data).hexdigest() == source.sha256:
                found[source.path] = data
    if not any(path.endswith(".erase") for path in found):
        from tracelang.plan.explain import explain

        found["explained.erase"] = explain(plan).encode()
    return found
