"""An edit that several cells verify is trained once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench.test_run import METHODS, TASK
from tracelang.bench import results, run
from tracelang.bench.cells import Cell, cells
from tracelang.bench.results import Found, Outcome, Result
from tracelang.bench.suite import Suite, read_suite
from tracelang.cli import main
from tracelang.cli.bench import _bases

SUITE = """models = ["micro-sd"]
define = ["methods.erase"]
against = "short"
[methods]
short = ["short"]
[parts.one]
tasks = ["dog.erase"]
steps = 2
[parts.two]
tasks = ["again.erase", "other.erase"]
steps = 2
"""
STEERED = "results/s/work/shared/*/trained/*/steer-*.safetensors"


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Cell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked = TASK.split("expect")[0]
    again = f'{asked}expect over 1 samples {{ kept(ship) >= 1% }}\nrecipe "other words" {{ owner = "us" }}\n'
    other = f"{asked.replace('preserve cat', 'preserve ship')}expect over 1 samples {{ kept(cat) >= 1% }}\n"
    files = {"dog.erase": TASK, "again.erase": again, "other.erase": other, "methods.erase": METHODS, "s.toml": SUITE}
    for name, text in files.items():
        Path(name).write_text(text)
    suite = read_suite(Path("s.toml"))
    return {Path(cell.task).stem: cell for _, cell in cells(suite, suite.parts, _bases(suite.parts, None))}


def bench(*words: str) -> str:
    result = CliRunner().invoke(main, ["bench", "s.toml", "--device", "cpu", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_what_a_cell_asks_of_an_edit_is_no_part_of_the_edit(wanted: dict[str, Cell]) -> None:
    assert wanted["dog"].edit == wanted["again"].edit != wanted["other"].edit
    assert len({cell.key for cell in wanted.values()}) == 3


def test_the_second_cell_of_an_edit_takes_what_the_first_has_trained(wanted: dict[str, Cell]) -> None:
    planned = bench("--plan")
    assert "two: 2 cells are missing: 12 rows without and 4 with a gradient" in planned, "the other's alone"
    bench("--part", "one")
    (steered,) = Path().glob(STEERED)
    before = steered.stat().st_mtime_ns
    bench("--task", "other")
    assert len(list(Path().glob(STEERED))) == 1 and steered.stat().st_mtime_ns == before, "the other's is dropped"
    bench("--task", "again", "--keep")
    found = {
        name: Result.model_validate_json(Path(f"results/s/{one.key}.json").read_bytes()) for name, one in wanted.items()
    }
    first, second, other = (found[name].outcome.spent for name in ("dog", "again", "other"))
    assert first and second and other and first.seconds and second.verify != first.verify
    assert second.seconds == first.seconds and second.memory == first.memory
    assert not list(Path().glob(STEERED)), "nobody is to verify it any more"


def test_what_was_trained_goes_with_the_last_cell_whoever_measured_the_others(
    wanted: dict[str, Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, outcome = read_suite(Path("s.toml")), Outcome(refusal="", found=Found(pictures=(), verdict="pass"))
    made = suite.results / f"work/shared/v/trained/{wanted['dog'].edit}-cpu"
    made.mkdir(parents=True)

    def started(suite: Suite, cell: Cell, asked: run.Asked) -> subprocess.Popen[bytes]:
        (run.prepared(suite, cell, asked) / "outcome.json").write_text(outcome.model_dump_json())
        return subprocess.Popen(["true"])

    monkeypatch.setattr(run, "started", started)
    run.measure(suite, [wanted["dog"]], run.Asked("cpu"), lambda line: None, [*wanted.values()])
    assert made.is_dir(), "the other cell of the edit is still to come"
    (suite.results / f"{wanted['dog'].key}.json").unlink()

    def elsewhere(suite: Suite, cell: Cell, asked: run.Asked) -> subprocess.Popen[bytes]:
        results.keep(suite.results, run._result(wanted["again"], outcome))
        return started(suite, cell, asked)

    monkeypatch.setattr(run, "started", elsewhere)
    run.measure(suite, [wanted["dog"]], run.Asked("cpu"), lambda line: None, [*wanted.values()])
    assert not made.exists()
