"""Measuring edits of the embedded model: one base, many edits, the same prompts and seeds, every picture judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from tracelang.engine.batches import batches
from tracelang.engine.cache import folder as trajectories
from tracelang.engine.edit import Edit, applied
from tracelang.engine.low_rank import LowRank
from tracelang.engine.run import run
from tracelang.evidence.bench import Presence, draw, judged, presence
from tracelang.evidence.judges import Class, Judge, load
from tracelang.evidence.panel import Panel, Sought, digest
from tracelang.evidence.work import Run, Work
from tracelang.models.locate import family_of, locate
from tracelang.models.protocol import Model
from tracelang.plan.bind import bind
from tracelang.plan.family import Facts
from tracelang.plan.types import Method, Plan
from tracelang.semantics.kinds import PASSES, kinds
from tracelang.version import versions

from . import table
from .table import Question
from .world.concepts import Style, Thing

ROWS = 10
"""Rows that are drawn together: after so many pictures a measurement may be stopped."""
STAGES: dict[str, tuple[str, ...]] = {
    "trace": tuple(kinds(PASSES)),
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

    def base(self, asked: Sequence[Question]) -> table.Outcome:
        """What the base model shows."""
        return table.outcome(asked, answered(self.model, self.judge, asked, self.steps, self.work(None)))

    def after(self, edit: Edit, asked: Sequence[Question]) -> table.Outcome:
        """What the edited model shows."""
        work = self.work(edit)
        with applied(self.model, edit) as edited:
            return table.outcome(asked, answered(edited, self.judge, asked, self.steps, work))

    def work(self, edit: Edit | None) -> Work:
        """Where finished rows are kept: of model, judge, sampler, device and the edit's own numbers."""
        model = self.model
        panel = Panel((self.judge,), {}, {})
        facts = {
            "base": model.fingerprint,
            "edited": None if edit is None else self._digest(edit),
            "judges": [digest(card) for card in panel.cards],
            "sampler": {"steps": self.steps, "guidance": model.guidance},
            "device": model.device.type,
            "versions": versions(("torch",)),
        }
        run = Run.of(panel, facts, (), {})
        work = Work(self.kept / run.folder, run)
        work.begin()
        return work

    def _digest(self, edit: Edit) -> str:
        key = hashlib.sha256(repr(edit.gate).encode())
        for site, delta in sorted(edit.deltas(self.model).items(), key=lambda item: item[0].tensor):
            key.update(site.tensor.encode())
            for factor in (delta.up, delta.down) if isinstance(delta, LowRank) else (delta.matrix,):
                key.update(factor.contiguous().numpy().tobytes())
        return key.hexdigest()


def answered(
    model: Model, judge: Judge, asked: Sequence[Question], steps: int, work: Work | None = None
) -> list[Presence]:
    """What the judge sees in every picture, in order. A row that `work` holds is not drawn again.

    Raises ValueError where the judge fails on a picture.
    """
    rows: dict[tuple[str, str], list[Question]] = {}
    for question in asked:
        rows.setdefault(question.row, []).append(question)
    keys = {row: _key(own) for row, own in rows.items()}
    done = {row: record["seen"] for row, key in keys.items() if work and (record := work.record(key))}
    missing = [row for row in rows if row not in done]
    for together in batches(missing, ROWS):
        images = iter(draw(model, [question.sample for row in together for question in rows[row]], steps))
        for row in together:
            own = torch.stack([next(images) for _ in rows[row]])
            done[row] = [asdict(one) for one in presences(judge, own, rows[row][0].wanted)]
            if work:
                work.finish(keys[row], {"row": row, "seen": done[row]})
    seen = {row: iter(found) for row, found in done.items()}
    return [Presence(**next(seen[question.row])) for question in asked]


def presences(judge: Judge, images: Tensor, wanted: Class) -> list[Presence]:
    """Whether each image shows what is wanted. Raises ValueError where the judge fails on a picture."""
    sought = (Sought(judge.card.name, wanted),)
    found = [presence(one, sought) for one in judged(Panel((judge,), {}, {}), images, sought)]
    if error := next((one.error for one in found if one.error), ""):
        raise ValueError(error)
    return found


def _key(row: Sequence[Question]) -> str:
    """Of its prompts, seeds and class alone, so that two tables share what both ask for."""
    asked = [[asdict(question.sample), asdict(question.wanted)] for question in row]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]


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
