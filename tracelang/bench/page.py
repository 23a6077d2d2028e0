"""The page of a suite: tables, who is ahead where, curves and plots, written from result files alone.

The words between the figures hold none, and every sentence about who is ahead is worked out here from the tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tracelang.bench import beside, figures, plots, wording
from tracelang.bench.cells import Cell
from tracelang.bench.figures import Figure, Table, best
from tracelang.bench.results import Result
from tracelang.bench.suite import Part, Suite
from tracelang.bench.summary import summary
from tracelang.bench.wording import percent, written

NEAR = 0.01
"""Bar of a curve: a method has erased where so few of the pictures show it."""
LEVELS = ", adjusted for the rows of the table"


def page(suite: Suite, wanted: Sequence[tuple[Part, Cell]], held: Mapping[str, Result]) -> dict[Path, str]:
    """The page, its plots, and the file that has the summary, by file. Raises OSError."""
    files: dict[Path, str] = {}
    tables: list[Table] = []
    text = [f"# {suite.title}\n", _introduction(suite, wanted, held)]
    for part in dict.fromkeys(part for part, _ in wanted):
        own = [cell for of, cell in wanted if of == part]
        if part.curve:
            text += _curves(suite, part, own, held, files)
            continue
        keys: dict[tuple[str, str], list[str]] = {}
        for cell in own:
            keys.setdefault((cell.method, cell.base.title), []).append(cell.key)
        for table in figures.tables(suite, part, keys, held):
            tables.append(table)
            text += _part(suite, table)
            text += beside.section(_first([cell for cell in own if cell.base.title == table.model], held))
    for model in dict.fromkeys(table.model for table in tables):
        text += _scatter(suite, [table for table in tables if table.model == model], files)
    if suite.summary:
        files[suite.summary] = summary(suite, wanted, held, suite.summary.read_text("utf-8"))
    return {suite.page: "\n".join(text).rstrip() + "\n", **files}


def _first(cells: Sequence[Cell], held: Mapping[str, Result]) -> dict[str, dict[str, Result]]:
    """The results that have figures, by task and method; of several trainings the first."""
    found: dict[str, dict[str, Result]] = {}
    for cell in cells:
        if cell.key in held and held[cell.key].outcome.found:
            found.setdefault(cell.task, {}).setdefault(cell.method, held[cell.key])
    return found


def _introduction(suite: Suite, wanted: Sequence[tuple[Part, Cell]], held: Mapping[str, Result]) -> str:
    keys = dict.fromkeys(cell.key for _, cell in wanted)
    there = [held[key] for key in keys if key in held]
    good = [one for one in there if one.outcome.found]
    devices = sorted({one.outcome.spent.device for one in good if one.outcome.spent})
    versions = sorted({str(one.facts["tracelang"]) for one in there})
    here = suite.file.name
    there_are = {cell.method for _, cell in wanted}
    untuned = [name for some in suite.groups.values() for name in some if name in suite.tuned and name not in there_are]
    told = [
        f"What `tracec bench {here}` measured, cell by cell: each is an edit of one model by one method and its "
        f"verification. The command writes this page from the files of its results; no figure here was typed.\n",
        f"Measured: {len(good)} of {len(keys)} cells, on {_listed(devices) or 'nothing yet'}, by tracelang "
        f"{_listed(versions) or '–'}."
        + (f" {len(there) - len(good)} were refused, with their reasons below." if len(there) > len(good) else "")
        + (f" Not tuned yet: {_listed(untuned)}." if untuned else "")
        + "\n",
        "Shares are in percent, each with its 95 % interval and the number of its pictures. Rows of one group are "
        "variants of one method: what is claimed is claimed against the better of them. "
        + (
            f"Behind a figure ▲ says that it is better than that of `{suite.against}`, ▼ that it is worse, beyond "
            f"chance at 5 %{LEVELS}: pairs of pictures of the same prompt and seed by the exact sign test, attacks by "
            "Fisher's. Without either the two cannot be told apart, on these edits.\n"
            if suite.against
            else "\n"
        ),
    ]
    return "\n".join(told)


def _part(suite: Suite, table: Table) -> list[str]:
    part = table.part
    tasks = _listed([Path(task).stem for task in part.tasks])
    text = [
        f"## {part.name.replace('_', ' ')}, {table.model}\n",
        f"{_counted(len(part.tasks), 'task')} ({tasks}), training seeds {_listed(list(map(str, part.seeds)))}, "
        f"{part.steps} sampler steps{f', budget {part.budget}' if part.budget else ''}.\n",
    ]
    if not table.columns:
        return [*text, "Nothing of it is measured yet.\n", *_refusals(table)]
    text += [_markdown(table), _legend(table)]
    text += _ahead(suite, table)
    text += _claims(suite, table)
    text += _refusals(table)
    return text


def _markdown(table: Table) -> str:
    several = len({line.group for line in table.lines}) < len(table.lines)
    head = [*(["group"] if several else []), "method", "cells", *(wording.title(column) for column in table.columns)]
    lines = [head, ["---"] * len(head)]
    for line in table.lines:
        name = f"**{line.method}**" if line.method == table.against else line.method
        cells = [wording.cell(column, line.figures.get(column.title)) for column in table.columns]
        lines.append([*([line.group] if several else []), name, f"{line.cells}/{line.of}", *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _legend(table: Table) -> str:
    told = [f"*{column.title}*: {column.means}" for column in table.columns if column.means]
    seen = any(figure.seen for line in table.lines for figure in line.figures.values())
    more = " † the method was trained against inputs of that kind." if seen else ""
    return f"{'; '.join(told)}.{more}\n"


def _ahead(suite: Suite, table: Table) -> list[str]:
    """Every row and column where a rival is ahead, beyond chance; and where a figure without a test is better."""
    ours = table.line(table.against) if table.against else None
    if ours is None:
        return []
    found, cheaper = [], dict[str, list[str]]()
    for line in table.lines:
        if line.method in suite.own:
            continue
        for column in table.columns:
            figure, own = line.figures.get(column.title), ours.figures.get(column.title)
            if figure is None or own is None:
                continue
            if figure.side == "ahead":
                erased = line.figures.get(figures.SHOWN.title)
                still = (
                    f", and shows {percent(erased.value)} % of what it erased"
                    if erased is not None and erased.value > suite.erased and column is not figures.SHOWN
                    else ""
                )
                found.append(
                    f"- **{line.method}** in *{column.title}*: {written(column, figure.value)} where `{ours.method}` "
                    f"has {written(column, own.value)} (p {_level(figure.p)}{still})."
                )
            elif not column.tested and figures.better(column, figure.value, own.value):
                cheaper.setdefault(column.title, []).append(line.method)
    text = [f"Rows where a rival is ahead of `{ours.method}`, beyond chance{LEVELS}:\n"]
    text += [*found, ""] if found else ["None.\n"]
    if cheaper:
        told = "; ".join(f"*{title}*: {_listed(names)}" for title, names in cheaper.items())
        text.append(f"Better figures that no test stands behind: {told}.\n")
    return text


def _claims(suite: Suite, table: Table) -> list[str]:
    """Against the better variant of each rival: unnamed others where both erase, and attacks."""
    text = []
    ours = table.line(table.against) if table.against else None
    if ours is None:
        return []
    rivals = [group for group, names in suite.groups.items() if not set(names) & set(suite.own)]
    groups = {group: [line for line in table.lines if line.group == group and line.figures] for group in rivals}
    shown = ours.figures.get(figures.SHOWN.title)
    if figures.OTHERS.title in ours.figures and shown is not None:
        sorted_: dict[str, list[str]] = {"behind": [], "": [], "ahead": []}
        weak = []
        for group, lines in groups.items():
            if not lines:
                continue
            one = best(lines, figures.OTHERS.title, "more", suite.erased)
            if one is None:
                weak.append(group)
            else:
                figure = one.figures[figures.OTHERS.title]
                sorted_[figure.side].append(f"{one.method} ({percent(figure.value)}, p {_level(figure.p)})")
        own = percent(ours.figures[figures.OTHERS.title].value)
        text.append(
            f"Of unnamed others `{ours.method}` keeps {own} % and shows {percent(shown.value)} % of what it erased. "
            f"Against the better variant of each rival that shows at most {percent(suite.erased)} %: it keeps more "
            f"than {_listed(sorted_['behind']) or 'none'}; cannot be told from {_listed(sorted_['']) or 'none'}; keeps "
            f"fewer than {_listed(sorted_['ahead']) or 'none'}"
            + (f"; {_listed(weak)} erase less than that in every variant" if weak else "")
            + ".\n"
        )
    column = figures.MEAN.title
    strongest = [one for lines in groups.values() if (one := best(lines, column, "less")) is not None]
    first = min(strongest, key=lambda line: line.figures[column].value, default=None)
    for name in suite.own if first is not None else ():
        line = table.line(name)
        if line is not None and column in line.figures:
            assert first is not None
            mine, rival = line.figures[column].value, first.figures[column].value
            ratio = f"{mine / rival:.2f} times that" if rival else "which is nothing to compare with"
            text.append(
                f"Under all attacks together `{name}` shows {percent(mine)} %; the best rival, {first.method}, "
                f"{percent(rival)} %: {ratio}.\n"
            )
    return text


def _refusals(table: Table) -> list[str]:
    told = [f"- {line.method}: {why}" for line in table.lines for why in line.refused]
    return ["Refused:\n", *told, ""] if told else []


def _scatter(suite: Suite, tables: Sequence[Table], files: dict[Path, str]) -> list[str]:
    """Attacks against unnamed others, each method's from the first part of its model that has the figure whole."""
    x, y = figures.OTHERS.title, figures.MEAN.title
    lines = [line for table in tables for line in table.lines if line.whole]
    found: dict[str, dict[str, Figure]] = {}
    for line in lines:
        for title in (x, y):
            if title in line.figures:
                found.setdefault(line.method, {}).setdefault(title, line.figures[title])
    dots = [
        plots.Dot(name, a.value, b.value, (a.low or 0.0, a.high or 0.0), (b.low or 0.0, b.high or 0.0))
        for name, some in found.items()
        if (a := some.get(x)) is not None and (b := some.get(y)) is not None
    ]
    if len(dots) < 2:
        return []
    model = tables[0].model
    title = f"Pictures under attack against unnamed others that are kept, {model}"
    return [
        f"## attack against what is kept, {model}\n",
        *_plot(suite, f"attacks-{model}", title, plots.scatter(title, dots, x, y), files),
    ]


def _plot(suite: Suite, name: str, title: str, svg: str, files: dict[Path, str]) -> list[str]:
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
    file = suite.results / f"{suite.name}-{safe}.svg"
    files[file] = svg
    return [f"![{title}]({Path(os.path.relpath(file, suite.page.parent)).as_posix()})\n"]


def _curves(
    suite: Suite, part: Part, cells: Sequence[Cell], held: Mapping[str, Result], files: dict[Path, str]
) -> list[str]:
    """Erasure against training rows, and the first point at which a method shows at most `NEAR`."""
    tasks = _listed([Path(task).stem for task in part.tasks])
    text = [
        f"## {part.name.replace('_', ' ')}\n",
        f"Each method stopped at several numbers of training steps ({tasks}).\n",
    ]
    for model in dict.fromkeys(cell.base.title for cell in cells):
        found = {name: points for name in part.methods if (points := list(_points(cells, held, name, model)))}
        if not found:
            text.append(f"Nothing of it is measured yet on {model}.\n")
            continue
        reached = {
            name: next((rows for rows, figure in points if figure.value <= NEAR), None)
            for name, points in found.items()
        }
        own = reached.get(suite.against)
        head = f"| method | trained rows to {percent(NEAR)} % shown | of `{suite.against}` | measured at |"
        lines = [head, "|---|---|---|---|"]
        for name, points in found.items():
            at = reached[name]
            least = f"more than {points[-1][0]:,.0f}" if at is None else f"{at:,.0f}"
            times = (
                "–" if own is None else f"{'more than ' if at is None else ''}{(at or points[-1][0]) / own:.3g} times"
            )
            measured = ", ".join(f"{rows:,.0f}: {percent(figure.value)} % ({figure.n})" for rows, figure in points)
            lines.append(f"| {name} | {least} | {times} | {measured} |")
        text.append("\n".join(lines) + "\n")
        drawn = [
            plots.Curve(name, [(rows, one.value, one.low or 0.0, one.high or 0.0) for rows, one in points])
            for name, points in found.items()
        ]
        title = f"{part.name}, {model}: what is shown against rows through the denoiser with a gradient"
        svg = plots.curves(title, drawn, "trained rows", "shown")
        text += _plot(suite, f"{part.name}-{model}", title, svg, files)
    return text


def _points(
    cells: Sequence[Cell], held: Mapping[str, Result], method: str, model: str
) -> Iterator[tuple[float, Figure]]:
    """Mean training rows of a task and what is shown, at every number of steps of which all cells are there."""
    for steps in cells[0].part.curve:
        own = [one for one in cells if (one.method, one.base.title, one.steps) == (method, model, steps)]
        found = [held[one.key] for one in own if one.key in held and held[one.key].outcome.found]
        figure = figures.figure(figures.SHOWN, found)
        rows = figures.figure(figures.TRAINED, found)
        if own and len(found) == len(own) and figure is not None and rows is not None:
            yield rows.value, figure


def _level(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
