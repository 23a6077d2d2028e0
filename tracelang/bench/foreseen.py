"""What the cells that are missing will take: rows through the denoiser from the plans, seconds from cells that were
measured on the same device, or from a few predictions made now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from tracelang.bench.cells import Cell
from tracelang.bench.results import Result, Spent
from tracelang.evidence.pictures import attacked, rows
from tracelang.plan.types import Plan
from tracelang.semantics.tables import ATTACKS

PLAIN = {"shots", "everyday", "certificate", "rounding"}
"""Kinds of work of a cell without attacks and controls."""
TRAINED = 3
"""A row with a gradient costs as much as so many without: forward once, backward twice."""
ROWS, REPEATS = 16, 4
GUIDED = 2
EVERYDAY = 24
"""Pictures of the panel that no verification leaves out."""
BEARABLE = 12 * 3600.0
"""Seconds that the cells of a suite may take a machine without a GPU."""


@dataclass
class Foreseen:
    """Of a part's missing cells: rows of edits, pictures, seconds by kind of work, and what nobody can foresee."""

    cells: int = 0
    frozen: int = 0
    trained: int = 0
    pictures: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def told(self, name: str, jobs: int) -> list[str]:
        """In lines."""
        kinds = "; ".join(f"{kind} {_time(seconds)}" for kind, seconds in self.seconds.items())
        lines = [
            f"{name}: {self.cells} cells are missing: {self.frozen:,} rows without and {self.trained:,} with a "
            f"gradient, {self.pictures:,} pictures",
            f"  about {_time(self.total / jobs)}, {jobs} side by side (one after another: {kinds})",
        ]
        if self.unknown:
            named = ", ".join(sorted(self.unknown))
            lines.append(f"  and what is known only once a cell with it was measured: {named}")
        return [*lines, *(f"  {count} will be refused: {why}" for why, count in self.refused.items())]


def _time(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 5400
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def foreseen(
    missing: Sequence[Cell], found: Mapping[str, Result], device: str, config: str | None = None, jobs: int = 1
) -> list[str]:
    """What the missing cells take, part by part, in lines. Raises ModelError where a model cannot be used at all."""
    known = [one for one in found.values() if one.outcome.found and one.outcome.spent and _of(one, device)]
    parts: dict[str, Foreseen] = {}
    row: dict[str, float] = {}
    once: set[object] = set()
    for cell in missing:
        told = parts.setdefault(cell.part.name, Foreseen())
        if cell.base.model not in row:
            own = [one for one in known if one.model == cell.base.title]
            row[cell.base.model] = _row(own) or measured(cell.base.model, device, config)
        _counted(told, cell, known, row[cell.base.model], once, config)
    lines = [line for name, told in parts.items() for line in told.told(name, jobs)]
    whole = sum(told.total for told in parts.values()) / jobs
    lines.append(f"all of it: about {_time(whole)}, {jobs} side by side, on nothing but this")
    if device == "cpu" and (much := _for_gpu(parts, jobs)):
        lines.append(f"so that the rest takes {_time(BEARABLE)} at most, on a GPU with --part: {', '.join(much)}")
    return lines


def _for_gpu(parts: Mapping[str, Foreseen], jobs: int) -> list[str]:
    """The parts that nobody can foresee, and of the others as few as have to go for the rest to be bearable."""
    much = [name for name, told in parts.items() if told.unknown]
    left = {name: told.total / jobs for name, told in parts.items() if not told.unknown}
    while (over := sum(left.values()) - BEARABLE) > 0:
        enough = [name for name in left if left[name] >= over]
        much.append(min(enough, key=left.__getitem__) if enough else max(left, key=left.__getitem__))
        del left[much[-1]]
    return much


def _counted(
    told: Foreseen, cell: Cell, known: Sequence[Result], row: float, once: set[object], config: str | None
) -> None:
    """Bind the cell to its model, and count. What the base draws is drawn once for all cells of a task, and an edit is
    made once for all cells that verify it.
    """
    from tracelang import api
    from tracelang.plan.bind import BindError
    from tracelang.plan.family import FamilyError
    from tracelang.plan.layers import SelectionError
    from tracelang.plan.windows import WindowError

    try:
        bound = api.bind(cell.plan, cell.base.model, config=config)
    except (BindError, FamilyError, SelectionError, WindowError) as error:
        why = f"{cell.method}: {error}"
        told.refused[why] = told.refused.get(why, 0) + 1
        return
    frozen, trained = (sum(getattr(part.cost, kind) for part in bound.passes) for kind in ("frozen", "trained"))
    if cell.edit in once:
        frozen = trained = 0
    task = cell.task, cell.base.fingerprint, cell.part.steps
    first = task not in once
    count = (pictures(cell.plan) + EVERYDAY) * (2 if first else 1)
    once |= {cell.edit, task}
    told.cells += 1
    told.frozen += frozen
    told.trained += trained
    told.pictures += count
    _add(told, "edits", row * (frozen + TRAINED * trained))
    _add(told, "pictures", count * (_picture(known, cell) or row * GUIDED * cell.part.steps))
    own = [one for one in known if one.model == cell.base.title]
    certified = [_certified(one.outcome.spent) for one in own if one.outcome.spent]
    _add(told, "certificates", fmean(certified) if certified else 0.0)
    _attacks(told, cell, own, first)


def pictures(plan: Plan) -> int:
    """How many pictures of each model the plan's expectations ask for, were every concept known to a judge."""
    every = {member: None for one in plan.expect for member in one.concepts}
    every |= {one.targets: None for one in plan.erase} | {one.concepts: None for one in plan.preserve}
    return sum(one.samples for one in rows(plan, every, 0))


def measured(model: str, device: str, config: str | None = None) -> float:
    """Seconds of one row through the model's denoiser, without a gradient, in a batch of `ROWS`; of a CPU on one
    thread, as each of two cells side by side has it.
    """
    import time

    import torch

    from tracelang.models.locate import family_of, locate

    torch.set_num_threads(1)
    folder = locate(model, config)
    loaded = family_of(folder).load(folder, device, None)
    latents = torch.zeros(ROWS, *loaded.latent_shape, device=loaded.device, dtype=loaded.dtype)
    time_ = loaded.clock.times(2)[0]
    with torch.no_grad():
        states = loaded.encode([""] * ROWS)
        times = torch.full((ROWS,), float(time_), device=loaded.device)
        loaded.predict(latents, times, states)
        if loaded.device.type == "cuda":
            torch.cuda.synchronize()
        gpu = loaded.device.type == "cuda"
        now = time.monotonic if gpu else time.process_time  # which others at work on a CPU do not lengthen
        seconds = []
        for _ in range(REPEATS):
            start = now()
            loaded.predict(latents, times, states)
            if gpu:
                torch.cuda.synchronize()
            seconds.append(now() - start)
    return min(seconds) / ROWS


def _of(result: Result, device: str) -> bool:
    spent = result.outcome.spent
    return spent is not None and (spent.device == "cpu") == (device == "cpu")


def _row(known: Sequence[Result]) -> float | None:
    found = [
        spent.seconds / (spent.frozen + TRAINED * spent.trained)
        for one in known
        if (spent := one.outcome.spent) is not None and spent.seconds and spent.trained
    ]
    return median(found) if found else None


def _certified(spent: Spent) -> float:
    return sum(spent.verify.get(kind, 0.0) for kind in ("certificate", "rounding"))


def _picture(known: Sequence[Result], cell: Cell) -> float | None:
    """Seconds of a picture: of what was drawn of this model, in as many steps, where nothing else was drawn."""
    found = []
    for one in known:
        spent = one.outcome.spent
        alike = one.model == cell.base.title and one.facts["steps"] == cell.part.steps
        if alike and spent and spent.drawn and spent.verify.keys() <= PLAIN:
            found.append((spent.verify.get("shots", 0.0) + spent.verify.get("everyday", 0.0)) / spent.drawn)
    return median(found) if found else None


def _attacks(told: Foreseen, cell: Cell, own: Sequence[Result], first: bool) -> None:
    for _, attack, samples, _ in attacked(cell.plan, tuple(ATTACKS), 0):
        kind = f"attack {attack}"
        _once(told, "attacks", attack, [seconds * samples for seconds in _each(own, kind, attack)], first)
    if cell.plan.controls:
        _once(told, "controls", "controls", _took(own, "control"), first)
    if any(one.metric == "relearn" for one in cell.plan.expect):
        _once(told, "relearning", "relearning", _took(own, "relearn", "sham"), first)


def _each(own: Sequence[Result], kind: str, attack: str) -> list[float]:
    """Seconds of one picture of an attack, in each cell that has it."""
    found = []
    for one in own:
        n = sum(some.n for some in one.outcome.found.attacks if some.attack == attack) if one.outcome.found else 0
        if n and one.outcome.spent and kind in one.outcome.spent.verify:
            found.append(one.outcome.spent.verify[kind] / n)
    return found


def _took(own: Sequence[Result], kind: str, *more: str) -> list[float]:
    """Seconds of work of these kinds in each cell that has the first of them."""
    spent = [one.outcome.spent.verify for one in own if one.outcome.spent]
    return [sum(verify.get(name, 0.0) for name in (kind, *more)) for verify in spent if kind in verify]


def _once(told: Foreseen, kind: str, name: str, seconds: Sequence[float], first: bool) -> None:
    """The `first` cell of a task has what base and controls give for all of them, as those measured longest had."""
    if seconds:
        _add(told, kind, max(seconds) if first else min(seconds))
    else:
        told.unknown.add(name)


def _add(told: Foreseen, kind: str, seconds: float) -> None:
    told.seconds[kind] = told.seconds.get(kind, 0.0) + seconds
