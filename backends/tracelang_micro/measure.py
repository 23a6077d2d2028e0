"""Measuring edits of the embedded model: one base, many edits, the same prompts and seeds, every picture judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tracelang.checkpoint.locate import family_of, locate
from tracelang.engine.cache import folder as trajectories
from tracelang.engine.edit import Edit, applied
from tracelang.engine.run import run
from tracelang.engine.sampling import sample
from tracelang.evidence.judges import Judge, load
from tracelang.evidence.rates import Shot, judge_all
from tracelang.models.protocol import Model
from tracelang.plan.bind import bind
from tracelang.plan.family import Facts
from tracelang.plan.types import Method, Plan

from . import table
from .world.concepts import Style, Thing

STAGES: dict[str, tuple[str, ...]] = {
    "trace": ("refine", "steer", "fuse"),
    "closed form alone": ("refine",),
    "fine-tuning alone": ("steer", "fuse"),
}


@dataclass(frozen=True)
class Bench:
    """The base model, its judge, the sampler, and the folder in which finished measurements are kept."""

    model: Model
    judge: Judge
    steps: int
    kept: Path

    def draw(self, model: Model) -> Callable[[Sequence[str], Sequence[int]], Tensor]:
        return lambda prompts, seeds: sample(model, prompts, seeds, steps=self.steps, fast=True, batch=100)

    def file(self, edit: Edit | None) -> Path:
        """Where finished pictures are kept: named after model, judge, sampler, device and the edit's own numbers."""
        model = self.model
        key = hashlib.sha256(
            json.dumps(
                [
                    model.fingerprint,
                    self.judge.card.digest,
                    self.steps,
                    model.guidance,
                    torch.__version__,
                    model.device.type,
                ]
            ).encode()
        )
        if edit is not None:
            key.update(repr(edit.gate).encode())
            for site, delta in sorted(edit.deltas(model).items(), key=lambda item: item[0].tensor):
                key.update(site.tensor.encode())
                for factor in (delta.up, delta.down):
                    key.update(factor.contiguous().numpy().tobytes())
        return self.kept / f"{key.hexdigest()[:24]}.jsonl"

    def base(self, asked: Sequence[Shot]) -> table.Outcome:
        """What the base model shows."""
        return table.outcome(asked, judge_all(self.draw(self.model), self.judge, asked, self.file(None)))

    def after(self, edit: Edit, asked: Sequence[Shot]) -> table.Outcome:
        """What the edited model shows."""
        kept = self.file(edit)
        with applied(self.model, edit) as edited:
            return table.outcome(asked, judge_all(self.draw(edited), self.judge, asked, kept))


def bench(model: str = "micro-sd", steps: int = 20, device: str = "cpu") -> Bench:
    """The bench of an embedded model."""
    folder = locate(model)
    kept = trajectories().parent / "measured"
    return Bench(family_of(folder).load(folder, device, "float32"), load("micro"), steps, kept)


def stage(plan: Plan, name: str) -> Plan:
    """The plan with only the passes of that stage."""
    passes = tuple(part for part in plan.method.passes if part.kind in STAGES[name])
    return plan.model_copy(update={"method": Method(name=plan.method.name, passes=passes)})


def row(
    on: Bench,
    target: Thing | Style,
    plan: Plan | None,
    *,
    n: int,
    n_kept: int,
    n_other: int,
    seed: int,
    everything: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, float | str]:
    """One line of the table: a plan in, figures out; no plan: the base. Finished pictures are never drawn twice."""
    asked = table.ask(target, n, n_kept, n_other, seed, everything)
    before = on.base(asked)
    after = before
    if plan is not None:
        bound = bind(plan, Facts("sd1", on.model.sites, on.model.clock))
        after = on.after(run(bound, on.model), asked)
    figures = {**table.figures(before, after), "pictures": len(asked)}
    say(f"{target.name}: {json.dumps(figures)}")
    return figures
