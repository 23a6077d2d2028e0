"""A suite's first table in short, inside another page: a row for each method, over tasks that all of them have done.

It stands below the line `<!-- table: SUITE -->`, which is in the file already; everything else there stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracelang.bench import figures, wording
from tracelang.bench.cells import Cell
from tracelang.bench.figures import Line, Table, best
from tracelang.bench.results import Result
from tracelang.bench.suite import Part, Suite, mark

COLUMNS = tuple(
    one.title
    for one in (
        figures.SHOWN,
        figures.PROBED,
        figures.KEPT,
        figures.OTHERS,
        figures.PAIRS,
        figures.MEAN,
        figures.SECONDS,
    )
)
NOTHING = "No task is done by every method yet."


def summary(suite: Suite, wanted: Sequence[tuple[Part, Cell]], held: Mapping[str, Result], text: str) -> str:
    """The text with the table in it as the results have it; as it is, where it has lost the line."""
    before, line, rest = text.partition(f"{mark(suite.name)}\n")
    if not line:
        return text
    own = "|".join(map(re.escape, (f"`{suite.file.name}`, ", NOTHING)))
    after = re.sub(rf"\A((?:{own}).*\n\n)?(\|.*\n?)*", "", rest)
    apart = "\n" if after and not after.startswith("\n") else ""
    return f"{before}{line}{_table(suite, wanted, held)}{apart}{after}"


def _table(suite: Suite, wanted: Sequence[tuple[Part, Cell]], held: Mapping[str, Result]) -> str:
    part = next((part for part, _ in wanted if not part.curve), None)
    model = part.models[0] if part and part.models else ""
    own = [cell for of, cell in wanted if of == part and cell.base.model == model]
    tasks = _common(suite, own, held)
    keys: dict[tuple[str, str], list[str]] = {}
    for cell in own:
        if cell.task in tasks:
            keys.setdefault((cell.method, cell.base.title), []).append(cell.key)
    if part is None or not keys:
        return f"{NOTHING}\n\n"
    (table,) = figures.tables(suite, part, keys, held)
    columns = [one for one in table.columns if one.title in COLUMNS]
    head = ["method", *map(wording.title, columns)]
    lines = [head, ["---"] * len(head)]
    for one in _rows(suite, table):
        name = f"**{one.method}**" if one.method == table.against else one.method
        lines.append([name, *(wording.cell(column, one.figures.get(column.title)) for column in columns)])
    named = ", ".join(Path(task).stem for task in tasks)
    told = f"`{suite.file.name}`, {part.name.replace('_', ' ')}, {table.model}: {named}.\n\n"
    return told + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _common(suite: Suite, cells: Sequence[Cell], held: Mapping[str, Result]) -> list[str]:
    """The tasks of which some variant of every method that has any results has all of its own."""
    done: dict[str, set[str]] = {}
    every = list(dict.fromkeys(one.task for one in cells))
    for row, names in suite.groups.items():
        for name in names:
            for task in every:
                keys = [one.key for one in cells if (one.method, one.task) == (name, task)]
                if keys and all(key in held and held[key].outcome.found for key in keys):
                    done.setdefault(row, set()).add(task)
    return [task for task in every if done and all(task in some for some in done.values())]


def _rows(suite: Suite, table: Table) -> list[Line]:
    """Of each method the variant that keeps most of those that erase; where none does, the one that shows least."""
    found = []
    for row in suite.groups:
        lines = [one for one in table.lines if one.group == row and one.whole]
        spared = best(lines, figures.OTHERS.title, "more", suite.erased)
        if (one := spared or best(lines, figures.SHOWN.title, "less")) is not None:
            found.append(one)
    return found
