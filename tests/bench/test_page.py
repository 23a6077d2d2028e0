"""The suites of this repository compile, compare every method, and their page is what their results say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelang.bench.cells import Cell, cells, rows
from tracelang.bench.page import page
from tracelang.bench.results import held
from tracelang.bench.suite import Part, Suite, read_suite
from tracelang.cli.bench import _bases
from tracelang.semantics.standard import method_names

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "benchmarks" / "world.toml"
SUITES = sorted(ROOT.glob("benchmarks/**/*.toml"))


@pytest.fixture(scope="module")
def world() -> tuple[Suite, list[tuple[Part, Cell]]]:
    """The suite of the embedded world and all of its cells, compiled."""
    suite = read_suite(WORLD)
    return suite, list(cells(suite, suite.parts, _bases(suite.parts, None)))


def test_the_page_is_what_the_results_say(world: tuple[Suite, list[tuple[Part, Cell]]]) -> None:
    suite, whole = world
    files = page(suite, whole, held(suite.results, [cell.key for _, cell in whole]))
    stale = [str(file) for file, text in files.items() if not file.is_file() or file.read_text("utf-8") != text]
    assert not stale, "run `tracec bench benchmarks/world.toml --page`"


def test_every_result_is_of_a_cell_of_its_suite(world: tuple[Suite, list[tuple[Part, Cell]]]) -> None:
    suite, whole = world
    keys = {cell.key for _, cell in whole}
    stale = [file.name for file in suite.results.glob("*.json") if file.stem not in keys]
    assert not stale, f"no cell of {WORLD.name} has these results any more; remove or measure them: {stale}"


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_a_suite_names_methods_that_compile(file: Path) -> None:
    suite = read_suite(file)
    names = {name for part in suite.parts for name in part.methods}
    assert rows(suite, names).keys() | set(suite.tuned) >= names and suite.against in names


def test_every_shipped_method_is_compared() -> None:
    suite = read_suite(WORLD)
    compared = {name for part in suite.parts for name in part.methods}
    assert "eraseanything_alone" in compared, "the shipped one asks for a second name, and the world's things have one"
    assert not {*method_names()} - compared - {"trace_paper", "eraseanything"}, (
        "each stands in benchmarks/world.toml, or is said why not"
    )


def test_no_tuning_thing_is_reported() -> None:
    suite = read_suite(WORLD)
    reported = {Path(task).stem for part in suite.parts for task in part.tasks}
    assert not reported & {file.stem for file in (ROOT / "benchmarks" / "tuning").glob("*.erase")}
