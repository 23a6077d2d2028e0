"""What the cells that are missing will take: rows through the denoiser from the plans, seconds from cells that were
measured on the same device, or from a few predictions made now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from tracelang.bench.cells import Cell
from tracelang.bench.results import Result
from tracelang.evidence.pictures import attacked, rows
from tracelang.plan.types import Plan
from tracelang.semantics.tables import ATTACKS

TRAINED = 3
"""A row with a gradient costs as much as so many without: forward once, backward twice."""
ROWS, REPEATS = 16, 4
GUIDED = 2


@dataclass
class Foreseen:
    """Of the missing cells: rows of edits, pictures, seconds by kind of work, and what nobody can foresee."""

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

    def told(self) -> list[str]:
        """In lines."""
        kinds = "; ".join(f"{kind} {_time(seconds)}" for kind, seconds in self.seconds.items())
        lines = [
            f"{self.cells} cells are missing: {self.frozen:,} rows without and {self.trained:,} with a gradient, "
            f"{self.pictures:,} pictures",
            f"about {_time(self.total)} one after another ({kinds})",
        ]
        if self.unknown:
            named = ", ".join(sorted(self.unknown))
            lines.append(f"and what is known only once a cell with it was measured: {named}")
        return [*lines, *(f"{count} will be refused: {why}" for why, count in self.refused.items())]


def _time(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 5400
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def foreseen(missing: Sequence[Cell], found: Mapping[str, Result], device: str, config: str | None = None) -> Foreseen:
    """Bind every missing cell to its model, and count. Raises ModelError where a model cannot be used at all."""
    from tracelang import api
    from tracelang.plan.bind import BindError
    from tracelang.plan.family import FamilyError
    from tracelang.plan.layers import SelectionError
    from tracelang.plan.windows import WindowError

    told = Foreseen()
    known = [one for one in found.values() if one.outcome.found and one.outcome.spent and _of(one, device)]
    row: dict[str, float] = {}
    for cell in missing:
        model = cell.base.model
        if model not in row:
            row[model] = _row([one for one in known if one.model == cell.base.title]) or measured(model, device, config)
        try:
            bound = api.bind(cell.plan, model, config=config)
        except (BindError, FamilyError, SelectionError, WindowError) as error:
            why = f"{cell.method}: {error}"
            told.refused[why] = told.refused.get(why, 0) + 1
            continue
        frozen, trained = (sum(getattr(part.cost, kind) for part in bound.passes) for kind in ("frozen", "trained"))
        count = pictures(cell.plan)
        told.cells += 1
        told.frozen += frozen
        told.trained += trained
        told.pictures += 2 * count
        _add(told, "edits", row[model] * (frozen + TRAINED * trained))
        drawn = _picture(known, cell) or row[model] * GUIDED * cell.part.steps
        _add(told, "pictures", 2 * count * drawn)
        _attacks(told, cell, known)
    return told


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


def _picture(known: Sequence[Result], cell: Cell) -> float | None:
    """Seconds of a picture: of what was drawn of this model, in as many steps."""
    found = []
    for one in known:
        spent, of = one.outcome.spent, one.outcome.found
        if one.model == cell.base.title and one.facts["steps"] == cell.part.steps and spent and of and of.pictures:
            found.append(spent.verify.get("shots", 0.0) / (2 * sum(len(row.base) for row in of.pictures)))
    return median(found) if found else None


def _attacks(told: Foreseen, cell: Cell, known: Sequence[Result]) -> None:
    own = [one for one in known if one.model == cell.base.title and one.outcome.found]
    for _, attack, _, _ in attacked(cell.plan, tuple(ATTACKS), 0):
        seconds = [a.seconds for one in own for a in one.outcome.found.attacks if a.attack == attack and not a.error]  # type: ignore[union-attr]
        if seconds:
            _add(told, "attacks", fmean(seconds))
        else:
            told.unknown.add(attack)
    if cell.plan.controls:
        seconds = [spent.verify["control"] for one in own if (spent := one.outcome.spent) and "control" in spent.verify]
        if seconds:
            _add(told, "controls", fmean(seconds))
        else:
            told.unknown.add("controls")


def _add(told: Foreseen, kind: str, seconds: float) -> None:
    told.seconds[kind] = told.seconds.get(kind, 0.0) + seconds
