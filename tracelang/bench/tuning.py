"""Equal tuning: every derivation that is to be chosen has at most as many trials, on things that no table reports, and
one rule chooses. What it chose is written as a method of the language.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracelang.bench import figures
from tracelang.bench.cells import Base, Cell, Row, rows, trial
from tracelang.bench.results import Result
from tracelang.bench.suite import MAX_TRIALS, Suite, Tuning
from tracelang.syntax.text import quote

CHOSEN = "# Chosen by `tracec bench"
"""What the file of what was chosen begins with: what begins otherwise was written by somebody, and stays."""
RULE = (
    "Of the trials that show at most {shown:g} % of what they erase the one that keeps most of what nobody names, and "
    "where none does the one that shows least."
)


@dataclass(frozen=True)
class Trial:
    """Settings tried for the method `name`, its cells, and what they say once they are measured."""

    name: str
    of: Row
    settings: str
    cells: tuple[Cell, ...]
    figures: Mapping[str, figures.Figure]
    refused: str = ""

    def told(self) -> str:
        """Its figures in a line."""
        if not self.figures:
            return f"refused: {self.refused}" if self.refused else "not measured"
        names = (figures.SHOWN.title, figures.PROBED.title, figures.KEPT.title, figures.OTHERS.title)
        return ", ".join(f"{name} {100 * self.figures[name].value:.1f} %" for name in names if name in self.figures)


def trials(
    suite: Suite,
    tuning: Tuning,
    bases: Mapping[str, Base],
    dtype: str = "",
    judged: Mapping[str, str] | None = None,
) -> list[Trial]:
    """Every trial, nothing measured; `judged` as in `cells`. Raises CompileError for settings that do not compile."""
    part = tuning.part
    known = rows(suite, dict.fromkeys(of for of, _ in tuning.trials.values()))
    return [
        Trial(
            name,
            known[of],
            settings,
            tuple(
                trial(suite, part, known[of], bases[model], task, settings, dtype, judged)
                for task in part.tasks
                for model in part.models
            ),
            {},
        )
        for name, (of, every) in tuning.trials.items()
        for settings in every
    ]


def measured(one: Trial, held: Mapping[str, Result]) -> Trial:
    """The trial with its figures; without, where a cell of it is missing or was refused."""
    found = [held[cell.key] for cell in one.cells if cell.key in held]
    refused = next((result.outcome.refusal for result in found if result.outcome.refusal), "")
    if refused or len(found) < len(one.cells):
        return Trial(one.name, one.of, one.settings, one.cells, {}, refused)
    columns = (figures.SHOWN, figures.PROBED, figures.KEPT, figures.OTHERS)
    known = {column.title: value for column in columns if (value := figures.figure(column, found)) is not None}
    return Trial(one.name, one.of, one.settings, one.cells, known)


def chosen(some: Sequence[Trial], erased: float) -> Trial | None:
    """The trial that `RULE` chooses; None where none has figures."""
    known = [one for one in some if figures.SHOWN.title in one.figures]
    good = [one for one in known if one.figures[figures.SHOWN.title].value <= erased]

    def spares(one: Trial) -> tuple[float, float]:
        return tuple(  # type: ignore[return-value]
            one.figures[name].value if name in one.figures else 0.0
            for name in (figures.OTHERS.title, figures.KEPT.title)
        )

    if good:
        return max(good, key=spares)
    return min(known, key=lambda one: one.figures[figures.SHOWN.title].value, default=None)


def written(suite: Suite, tuning: Tuning, found: Sequence[Trial]) -> str:
    """The file of what was chosen, each method beside what it was chosen from."""
    folder = Path(tuning.into).parent
    tasks = ", ".join(Path(task).stem for task in tuning.part.tasks)
    lines = [
        f"{CHOSEN} {suite.file.name} --tune` on {tasks}, of at most {MAX_TRIALS} trials each.",
        f"# {RULE.format(shown=100 * suite.erased)}",
        "tracelang 1",
    ]
    body: list[str] = []
    imports: dict[str, list[str]] = {}
    for name in dict.fromkeys(one.name for one in found):
        own = [one for one in found if one.name == name]
        best = chosen(own, suite.erased)
        if best is None:
            continue
        if best.of.file:
            imports.setdefault(os.path.relpath(best.of.file, folder), []).append(best.of.name)
        body.append("")
        body += [f"# {'*' if one is best else '-'} {one.settings}: {one.told()}" for one in own]
        body.append(f"define method {name} = {best.of.name} {{ {best.settings} }}")
    lines += [f"from {quote(file)} import {', '.join(sorted(set(names)))}" for file, names in imports.items()]
    return "\n".join([*lines, *body]) + "\n"
