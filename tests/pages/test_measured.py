"""README's tables of erasure are those that were measured: every cell is made from the files of results."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest

import tracelang
from tests.pages.reading import README, ROOT
from tracelang.api import Applied

TEXT = README.read_text("utf-8")
RESULTS = ROOT / "tests" / "benchmarks" / "results"


def results(name: str) -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads((RESULTS / f"{name}.json").read_text())["results"]  # type: ignore[no-any-return]


def table(start: str) -> list[list[str]]:
    """The rows of the table whose head starts so; an empty first cell repeats the one above."""
    (body,) = re.findall(rf"^{re.escape(start)}.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.M)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
    for above, row in pairwise(rows):
        row[0] = row[0] or above[0]
    return rows


def share(value: float | None) -> str:
    return "–" if value is None else f"{round(100 * value, 1):g}"


def change(value: float) -> str:
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def worst(found: dict[str, Any]) -> str:
    points = round(100 * found["kept_worst"])
    return f"{points:+d} {found['kept_worst_row']}".replace("-", "−") if points else "0"


def interval(found: dict[str, Any]) -> str:
    low, high = (round(100 * found[f"erased_{end}"]) for end in ("low", "high"))
    return f"{share(found['erased'])} ({low}–{high})"


def whole(base: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The cells of a row from *before* on."""
    return [
        share(base["erased"]),
        interval(found),
        share(found.get("probes")),
        share(found["subject"]),
        share(found["placed"]),
        change(found["kept_change"]),
        worst(found),
        change(found["style_change"]),
        change(found["background_change"]),
    ]


def test_each_thing_erased_alone() -> None:
    rows, found = table("| erased | before |"), results("erasure-cuda")
    assert [row[0].split(" ")[0] for row in rows] == list(found)
    for row in rows:
        stages = found[row[0].split(" ")[0]]
        assert row[1:] == whole(stages["base"], stages["trace"])


def test_what_the_stages_are_worth() -> None:
    rows, found = table("| erased | stage | after |"), results("erasure-cuda")
    assert len(rows) == 2 * len(found)
    for thing, stage, *cells in rows:
        one = found[thing][stage]
        assert cells == [
            share(one["erased"]),
            share(one["probes"]),
            share(one["subject"]),
            share(one["placed"]),
            change(one["kept_change"]),
            worst(one),
        ]


def test_the_recipes_of_the_embedded_world() -> None:
    rows, found = table("| recipe | stage | before |"), results("erasure-micro-flux")
    stages = iter(found.values())
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        one = next(stages)
        for row, stage in ((first, "trace"), (second, "closed form alone")):
            assert row[1] in (stage, f"`{stage}`")
            assert row[2:] == whole(one["base"], one[stage])


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", TEXT))))
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m\s([\w.]+)", TEXT))))
def test_python_has_the_module(module: str) -> None:
    assert find_spec(module)


def test_the_lines_of_python_use_what_there_is() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert set(re.findall(r"tracelang\.(\w+)", block)) <= set(tracelang.__all__)
    assert set(re.findall(r"applied\.(\w+)", block)) == {"save", "to"} <= set(dir(Applied))
