"""A suite's table in a page that is not its own: the variant that keeps most, over tasks that all methods have done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.bench.test_figures import PART, SUITE, result
from tracelang.bench.cells import Base, Cell
from tracelang.bench.results import Result
from tracelang.bench.suite import Suite, mark
from tracelang.bench.summary import summary

TASKS = ("dog.erase", "ship.erase")
BOTH = replace(PART, tasks=TASKS)
TEXT = f"# Ours\n\n{mark('s')}\n\nMore.\n"


def cells(suite: Suite) -> list[tuple[Any, Cell]]:
    base = Base("micro-sd", "micro-sd", "")
    made = [(task, name) for task in TASKS for name in BOTH.methods]

    def cell(task: str, name: str) -> Cell:
        return Cell(task, name, base, 0, None, suite.parts[0], "", cast(Any, None), "", ())

    return [(suite.parts[0], cell(*one)) for one in made]


def written(done: Iterable[Result], text: str = TEXT) -> list[str]:
    suite = replace(SUITE, parts=(BOTH,))
    held = {one.key: one for one in done}
    found = summary(suite, cells(suite), held, text)
    assert found.startswith(f"# Ours\n\n{mark('s')}\n") and found.endswith("\nMore.\n")
    assert summary(suite, cells(suite), held, found) == found, "written again it is the same"
    return found.splitlines()[3:-2]


def of(task: str, method: str, shown: str, others: str) -> Result:
    return result(f"{task}.erase {method}", method, shown, others, task=f"{task}.erase")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cell, "key", property(lambda cell: f"{cell.task} {cell.method}"))


def test_it_says_what_it_is_of_and_a_method_that_nobody_measured_has_no_row() -> None:
    told = written([of("dog", "trace", "00", "11"), of("dog", "esd", "01", "10")])
    assert told[0] == "`s.toml`, spared, micro-sd: dog."
    assert [line.split(" | ")[0] for line in told[2:]] == ["| method", "| ---", "| **trace**", "| esd"]
    assert told[4].startswith("| **trace** | 0 (0–65.8; 2) | 100 (34.2–100; 2)")


def test_of_variants_stands_the_one_that_keeps_most_of_those_that_erase() -> None:
    ours = of("dog", "trace", "00", "11")
    esd, wide = of("dog", "esd", "00", "10"), of("dog", "esd_wide", "01", "11")
    assert "| esd |" in written([ours, esd, wide])[5], "the wide one keeps more and erases less"
    assert "| esd_wide |" in written([ours, wide, of("dog", "esd", "11", "11")])[5], (
        "none erases: the one that shows less"
    )


def test_only_tasks_count_that_all_have_done() -> None:
    two = [of("dog", "trace", "00", "11"), of("ship", "trace", "11", "11")]
    told = written([*two, of("dog", "uce", "00", "11")])
    assert told[0].endswith(": dog.") and "| **trace** | 0 " in told[4]
    told = written([*two, of("ship", "uce", "00", "11")])
    assert told[0].endswith(": ship.") and "| **trace** | 100 " in told[4]
    told = written([two[0], of("ship", "uce", "00", "11")])
    assert told == ["No task is done by every method yet.", ""]
    assert written([]) == told


def test_what_others_wrote_below_the_line_stays() -> None:
    suite = replace(SUITE, parts=(BOTH,))
    held = {one.key: one for one in (of("dog", "trace", "00", "11"), of("dog", "esd", "01", "10"))}
    first = f"{mark('s')}\nSomebody's own line.\n\nMore.\n"
    found = summary(suite, cells(suite), held, first)
    assert found.endswith(" |\n\nSomebody's own line.\n\nMore.\n")
    assert summary(suite, cells(suite), held, found) == found
    assert summary(suite, cells(suite), held, found.removesuffix("\n\nSomebody's own line.\n\nMore.\n")) == (
        found.removesuffix("\nSomebody's own line.\n\nMore.\n")
    ), "a last line without an end"
    assert summary(suite, cells(suite), held, "# The line is gone\n") == "# The line is gone\n"
