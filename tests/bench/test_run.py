"""`tracec bench` as a user meets it, on the embedded model: cells stop, go on, are refused, are never done twice."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tracelang.bench.cells import cells, stage
from tracelang.bench.foreseen import foreseen
from tracelang.bench.results import Found, Outcome, keep
from tracelang.bench.results import Result as Cell
from tracelang.bench.run import Asked, _outcome, measure, missing, prepared, share, started
from tracelang.bench.suite import Suite, read_suite
from tracelang.bench.tuning import trials
from tracelang.cli import main
from tracelang.cli.bench import _bases
from tracelang.plan.bind import BindError

TASK = """tracelang 1
templates object = "a picture of a {}", "a {}"
concept dog { names "dog"  probes "canine"  templates object }
concept cat { names "cat"  templates object }
concept ship { names "ship"  templates object }
erase dog toward cat
preserve cat
method trace { steer.steps = 5 }  # no cell runs it
expect over 2 samples { shown(dog) <= 90%  probed(dog) <= 90%  kept(cat) >= 1%  kept(ship) >= 1% }
"""
METHODS = """tracelang 1
define method short = esd {
  steer.steps = 2  steer.batch = 2  steer.trajectories = 1  steer.sampler_steps = 4  steer.rank = 1
}
define method odd = uce { refine.on = (prompt in double) }
"""
SUITE = """models = ["micro-sd"]
define = ["methods.erase"]
against = "uce"
[methods]
uce = ["uce"]
esd = ["short"]
odd = ["odd"]
[parts.all]
tasks = ["dog.erase"]
steps = 2
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name, text in {"dog.erase": TASK, "methods.erase": METHODS, "s.toml": SUITE}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def bench(*words: str) -> Result:
    result = CliRunner().invoke(main, ["bench", "s.toml", "--device", "cpu", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def suite() -> Suite:
    return read_suite(Path("s.toml"))


def wanted(found: Suite) -> list:  # type: ignore[type-arg]
    return [cell for _, cell in cells(found, found.parts, _bases(found.parts, None))]


def held() -> dict[str, Cell]:
    found = [Cell.model_validate_json(file.read_bytes()) for file in sorted(Path("results/s").glob("*.json"))]
    return {one.method: one for one in found}


def test_a_suite_from_nothing_to_its_page(here: Path) -> None:
    planned = bench("--plan")
    assert planned.exit_code == 0 and "2 cells are missing" in planned.stdout, planned.output
    assert "1 will be refused: odd: refine.on" in planned.stdout and not Path("results").exists()
    first = bench("--jobs", "2")
    assert first.exit_code == 0, first.output
    found = held()
    assert found.keys() == {"uce", "short", "odd"}
    assert "double" in found["odd"].outcome.refusal and found["odd"].outcome.found is None
    for name in ("uce", "short"):
        outcome = found[name].outcome
        assert outcome.found and outcome.spent and outcome.spent.seconds and outcome.spent.memory > 2**26
        by = {(of.member, of.how): of for of in outcome.found.pictures}
        assert by[("dog",), "names"].role == "erased" and len(by[("dog",), "probes"].after) == 2
        assert by[("cat",), "names"].role == "preserved" and by[("ship",), "names"].role == "other"
    one, other = (found[name].outcome for name in ("uce", "short"))
    assert (
        one.found and other.found and [of.base for of in one.found.pictures] == [of.base for of in other.found.pictures]
    )
    assert one.spent and other.spent and (one.spent.trained, other.spent.trained) == (0, 4)
    daily = 24
    assert one.spent.drawn + other.spent.drawn == 3 * (8 + daily), "the base's pictures are drawn once"
    assert found["uce"].seed is None and found["short"].seed == 0
    assert not Path("results/s/work").exists(), "weights and pictures are dropped"
    assert sum(file.stat().st_size for file in Path("results/s").glob("*.json")) < 16_000
    page = Path("s.md").read_text("utf-8")
    assert "Measured: 2 of 3 cells" in page and "| **uce** | 1/1 |" in page and "- odd: refine.on" in page
    assert bench("--check").exit_code == 0
    Path("s.md").write_text(page.replace("1/1", "2/2"))
    assert bench("--check").exit_code == 1 and "is not what the results say" in bench("--check").stderr

    # Again: nothing is measured but what was refused, and what the suite has got since then.
    before = {name: (Path("results/s") / f"{one.key}.json").stat().st_mtime_ns for name, one in found.items()}
    Path("s.toml").write_text(SUITE.replace("steps = 2\n", "steps = 2\nseeds = [0, 1]\n"))
    again = bench("--method", "esd", "--method", "uce")
    assert again.exit_code == 0 and "1/1 dog, short, micro-sd, seed 1" in again.stderr and "2/" not in again.stderr
    after = {name: (Path("results/s") / f"{one.key}.json").stat().st_mtime_ns for name, one in found.items()}
    assert after == before and len(list(Path("results/s").glob("*.json"))) == 4
    assert "| short | 2/2 |" in Path("s.md").read_text("utf-8")


def test_a_cell_that_is_killed_goes_on_where_it_was(here: Path) -> None:
    found = suite()
    (cell,) = [cell for cell in wanted(found) if cell.method == "uce"]
    process = started(found, cell, Asked("cpu"))
    folder = Path("results/s/work") / cell.key
    until = time.monotonic() + 300
    while not list(folder.glob("out/report/work/*/certificate.json")) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "outcome.json").exists() and (folder / "spent.json").exists()
    (unit,) = folder.glob("out/report/work/*/certificate.json")
    done, spent = unit.stat().st_mtime_ns, (folder / "spent.json").read_text()
    assert bench("--method", "uce", "--keep").exit_code == 0
    assert unit.stat().st_mtime_ns == done, "what was finished is not done again"
    outcome = held()["uce"].outcome
    assert outcome.spent and outcome.spent.seconds == json.loads(spent)["seconds"]


def test_a_process_that_dies_is_no_result(here: Path) -> None:
    found = suite()
    (cell,) = [cell for cell in wanted(found) if cell.method == "uce"]
    work = Path("results/s/work") / cell.key
    (work / "spent.json").mkdir(parents=True)  # the process cannot write it
    result = bench("--method", "uce")
    assert result.exit_code == 1 and "failed: " in result.stderr and not list(Path("results/s").glob("*.json"))
    assert "exit code 1" in result.stderr and "the same command tries them again" in result.stderr


def test_two_processes_never_measure_one_cell(here: Path) -> None:
    found = suite()
    (cell,) = [cell for cell in wanted(found) if cell.method == "uce"]
    folder = Path("results/s/work") / cell.key
    folder.mkdir(parents=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = bench("--method", "uce")
    assert "1 cells are being measured by another process" in result.stderr and not list(
        Path("results/s").glob("*.json")
    )


def test_an_interrupt_leaves_every_process_stopped_and_says_how_to_go_on(here: Path) -> None:
    words = [sys.executable, "-m", "tracelang", "bench", "s.toml", "--device", "cpu", "--method", "uce"]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_interruptible
    )
    while not list(Path("results/s/work").glob("shared/*/trained/*/begun")) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130 and "Go on with: tracec bench s.toml --device cpu --method uce" in said
    assert not list(Path("results/s").glob("*.json"))


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_shards_are_all_of_it_and_no_cell_twice(here: Path) -> None:
    every = wanted(suite())
    shards = [share(every, (i, 2)) for i in (1, 2)]
    assert sorted(cell.key for some in shards for cell in some) == sorted(cell.key for cell in every)
    assert not {cell.key for cell in shards[0]} & {cell.key for cell in shards[1]}


def test_a_key_is_all_that_decides_a_cell(here: Path) -> None:
    def keys() -> dict[str, str]:
        return {cell.method: cell.key for cell in wanted(suite())}

    before = keys()
    Path("dog.erase").write_text(f"# said\n{TASK}")
    assert keys() == before, "a comment decides nothing"
    Path("dog.erase").write_text(TASK.replace("method trace { steer.steps = 5 }", "method uce"))
    assert keys() == before, "nor does the task's own method"
    for old, new in (("over 2", "over 3"), ('probes "canine"', 'probes "hound"'), ("<= 90%", "<= 80%")):
        Path("dog.erase").write_text(TASK.replace(old, new))
        assert not set(keys().values()) & set(before.values())
    Path("dog.erase").write_text(TASK)
    for old, new in (("steps = 2", "steps = 3"), ("steps = 2", 'steps = 2\nbudget = "rows=3"\n')):
        Path("s.toml").write_text(SUITE.replace(old, new))
        assert not set(keys().values()) & set(before.values())
    Path("s.toml").write_text(SUITE)
    Path("methods.erase").write_text(METHODS.replace("steer.steps = 2 ", "steer.steps = 3 "))
    assert {name for name, key in keys().items() if before[name] != key} == {"short"}


def test_a_curve_is_the_same_method_at_other_steps(here: Path) -> None:
    Path("s.toml").write_text(SUITE.replace("steps = 2", "steps = 2\ncurve = [1, 3]"))
    found = wanted(suite())
    assert [(cell.method, cell.steps) for cell in found] == [("short", 1), ("short", 3)]
    assert [cell.plan.method.passes[0].steps for cell in found] == [1, 3]  # type: ignore[attr-defined]


def test_a_cell_of_two_parts_is_in_one_shard_and_foreseen_where_it_is_measured(here: Path) -> None:
    Path("s.toml").write_text(SUITE + SUITE[SUITE.index("[parts") :].replace("all", "again"))
    found = suite()
    every = wanted(found)
    shards = [{cell.key for cell in share(every, (i, 2))} for i in (1, 2)]
    assert shards[0] | shards[1] == {cell.key for cell in every} and not shards[0] & shards[1]
    first = share(every, (1, 2))[0]
    _kept(first, Outcome(found=Found(pictures=(), verdict="pass")))
    left = len(share(every, (1, 2))) - 1
    assert f"{left - 1} cells are missing" in bench("--plan", "--shard", "1/2").stdout, "one will be refused"


def test_what_another_process_measured_meanwhile_is_not_measured_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = suite()
    (cell,) = [cell for cell in wanted(found) if cell.method == "uce"]
    outcome = Outcome(found=Found(pictures=(), verdict="pass"))

    def late(wanted: Sequence[object], held: dict[str, object]) -> list[Any]:
        left = missing(wanted, held)  # type: ignore[arg-type]
        _kept(cell, outcome)
        return left

    monkeypatch.setattr("tracelang.bench.run.missing", late)
    assert measure(found, [cell], Asked("cpu"), print).results[cell.key].outcome == outcome
    assert not Path("results/s/work").exists()


def _kept(cell: Any, outcome: Outcome) -> None:
    one = Cell(
        key=cell.key,
        facts=cell.facts,
        task=cell.task,
        method=cell.method,
        model=cell.base.title,
        seed=cell.seed,
        steps=cell.steps,
        outcome=outcome,
    )
    keep(Path("results/s"), one)


def test_where_one_cell_cannot_begin_none_is_left_running(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, begun = suite(), list[subprocess.Popen[bytes]]()

    def second_fails(*given: Any) -> subprocess.Popen[bytes]:
        if begun:
            raise OSError("no more processes")
        begun.append(started(*given))
        return begun[0]

    monkeypatch.setattr("tracelang.bench.run.started", second_fails)
    with pytest.raises(OSError, match="no more"):
        measure(found, wanted(found), Asked("cpu", jobs=2), print)
    assert begun[0].poll() is not None


def test_nothing_is_imported_from_the_folder_that_it_stands_in(here: Path) -> None:
    Path("tracelang").mkdir()
    Path("tracelang/__init__.py").write_text("open('ran', 'w')")
    found = suite()
    process = started(found, next(cell for cell in wanted(found) if cell.method == "odd"), Asked("cpu"))
    assert process.wait(300) == 0 and not Path("ran").exists()


@pytest.mark.parametrize(
    "link",
    [
        "results/s/work",
        "results/s/work/KEY",
        "results/s/work/KEY/log",
        "results/s/work/KEY/recipe/log",
        "results/s/work/shared/v/trained/e/log",
    ],
)
def test_nothing_is_written_through_links(here: Path, link: str) -> None:
    found = suite()
    (cell,) = [cell for cell in wanted(found) if cell.method == "odd"]
    place = Path(link.replace("KEY", cell.key))
    place.parent.mkdir(parents=True)
    (here / "mine").mkdir()
    (here / "mine" / "log").write_text("mine")
    place.symlink_to(here / "mine" / ("log" if place.name == "log" else ""))
    result = bench("--method", "odd")
    assert result.exit_code == 2 and "is a link" in result.stderr
    assert [file.read_text() for file in Path("mine").rglob("*") if file.is_file()] == ["mine"]


def test_a_process_is_told_to_stop_once(here: Path) -> None:
    """Ctrl-C goes to all that stand in a terminal's group; the second one would cut a step in two."""
    found = suite()
    process = started(found, next(cell for cell in wanted(found) if cell.method == "odd"), Asked("cpu"))
    try:
        assert os.getpgid(process.pid) != os.getpgid(0)
    finally:
        process.kill()
        process.wait()


def test_a_run_that_is_told_to_end_ends_its_cells(here: Path) -> None:
    words = [sys.executable, "-m", "tracelang", "bench", "s.toml", "--device", "cpu", "--method", "uce", "--keep"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while not list(Path("results/s/work").glob("shared/*/trained/*/begun")) and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130 and "Go on with" in said
    locks = list(Path("results/s/work").rglob("lock"))
    assert len(locks) == 2  # the cell's, and that of what it trains
    for one in locks:
        with one.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody is at work on it


def test_an_outcome_that_cannot_be_read_is_a_failure_and_made_again(here: Path) -> None:
    found = suite()
    (cell,) = [cell for cell in wanted(found) if cell.method == "odd"]
    folder = prepared(found, cell, Asked())
    (folder / "outcome.json").write_text('{"refusal": ')
    assert _outcome(folder) is None
    assert bench("--method", "odd").exit_code == 0 and "odd" in held()


@pytest.mark.parametrize("words", [("--check",), ("--plan",), ("--page",), ("--tune",)])
def test_a_result_of_other_facts_or_marks_is_refused_by_its_name(here: Path, words: tuple[str, ...]) -> None:
    Path("s.toml").write_text(SUITE + TUNING)
    found = suite()
    every = wanted(found)
    if words == ("--tune",):
        assert found.tuning
        every = [cell for one in trials(found, found.tuning, _bases(found.parts, None)) for cell in one.cells]
    picture = {"member": ["dog"], "how": "names", "role": "erased", "base": "01", "after": "01"}
    good = {"facts": every[0].facts, "base": "01"}
    for bad in ({"facts": {}}, {"base": "011"}, {"base": "0y"}):
        told = {**good, **bad}
        outcome = {"found": {"pictures": [{**picture, "base": told["base"]}], "verdict": "pass"}}
        text = {"key": every[0].key, "facts": told["facts"], "task": "dog.erase", "method": "uce", "model": "micro-sd"}
        file = Path("results/s") / f"{every[0].key}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**text, "seed": None, "steps": None, "outcome": outcome}))
        result = bench(*words)
        assert result.exit_code == 2 and f"{file.name}: is no result of `tracec bench`" in result.stderr
        assert "Traceback" not in result.output


TUNING = """[tuning]
tasks = ["dog.erase"]
steps = 2
into = "tuned.erase"
[tuning.trials.chosen]
of = "uce"
settings = ["refine.ridge_absolute = 1"]
"""


def test_tuning_overwrites_nothing_that_somebody_wrote(here: Path) -> None:
    Path("s.toml").write_text(SUITE + TUNING.replace("tuned", "dog"))
    result = bench("--tune")
    assert result.exit_code == 2 and "would be lost" in result.stderr and Path("dog.erase").read_text() == TASK


def test_a_check_of_a_page_that_is_no_text_fails(here: Path) -> None:
    Path("s.md").write_bytes(b"\xff")
    result = bench("--check")
    assert result.exit_code == 1 and "is not what the results say" in result.stderr


def test_a_plan_knows_a_single_files_config(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def bound(plan: object, model: str, config: str | None = None) -> None:
        asked.append(config)
        raise BindError("no")

    monkeypatch.setattr("tracelang.api.bind", bound)
    monkeypatch.setattr("tracelang.bench.foreseen.measured", lambda model, device, config: asked.append(config))
    foreseen(wanted(suite()), {}, "cpu", "sd15")
    assert asked == ["sd15"] * 4


def test_what_was_refused_is_asked_again(here: Path) -> None:
    every = wanted(suite())
    one = Cell.model_validate(
        {"key": every[0].key, "facts": {}, "task": "", "method": "", "model": "", "seed": None, "steps": None}
        | {"outcome": {"refusal": "no"}}
    )
    assert every[0] in missing(every, {every[0].key: one})


def test_a_cells_recipe_stands_by_itself(here: Path) -> None:
    import tracelang

    for cell in wanted(suite()):
        file = stage(suite(), cell, here / "staged" / cell.method)
        assert tracelang.compile(file, root=file.parent).digest == cell.plan.digest
        shutil.rmtree(here / "staged")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--part", "al"), "--part al: no cell has it; did you mean `all`?"),
        (("--method", "mace"), "--method mace: no cell has it; known here: esd, odd, short, uce"),
        (("--plan", "--check"), "give one of them"),
        (("--model", "nosuch"), "nosuch: no such model"),
        (("--tune",), "has no [tuning]"),
        (("--shard", "3/2"), "is not I/N"),
    ],
)
def test_what_a_command_line_gets_wrong(here: Path, words: tuple[str, ...], told: str) -> None:
    result = bench(*words)
    assert result.exit_code == 2 and told in " ".join(result.stderr.split()), result.output


def test_a_method_that_nobody_defines_is_a_mistake_at_its_place(here: Path) -> None:
    Path("s.toml").write_text(SUITE.replace('["odd"]', '["oddd"]'))
    result = bench()
    assert result.exit_code == 2 and "s.toml:7" in result.stderr and "no method is called `oddd`" in result.stderr
    Path("s.toml").write_text(SUITE)
    Path("methods.erase").write_text(METHODS.replace("steer.rank", "steer.rnak"))
    assert "TL206" in bench().stderr


def test_a_result_that_is_none_is_refused_by_its_name(here: Path) -> None:
    (cell,) = [cell for cell in wanted(suite()) if cell.method == "uce"]
    file = Path("results/s") / f"{cell.key}.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"key": "x"}')
    result = bench("--check")
    assert result.exit_code == 2 and f"{cell.key}.json: is no result of `tracec bench`" in result.stderr


def test_tuning_tries_what_it_says_and_writes_what_it_chooses(here: Path) -> None:
    trials = 'settings = ["refine.ridge_absolute = 0.1", "refine.ridge_absolute = 1e9"]'
    tuning = '[tuning]\ntasks = ["dog.erase"]\nsteps = 2\ninto = "tuned.erase"\n'
    tuning += f'[tuning.trials.mild]\nof = "uce"\n{trials}\n'
    Path("s.toml").write_text(SUITE.replace('["methods.erase"]', '["methods.erase", "tuned.erase"]') + tuning)
    result = bench("--tune")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("mild: uce {") == 2 and result.stdout.count("* mild") == 1
    text = Path("tuned.erase").read_text()
    assert "define method mild = uce { refine.ridge_absolute = " in text and text.count("shown") >= 2
    Path("s.toml").write_text(
        Path("s.toml").read_text().replace('uce = ["uce"]', 'uce = ["mild"]').replace('"uce"\n[', '"mild"\n[')
    )
    assert [cell.method for cell in wanted(suite())] == ["mild", "short", "odd"]


def test_what_is_not_tuned_yet_is_left_out_and_said(here: Path) -> None:
    trials = '[tuning.trials.mild]\nof = "uce"\nsettings = ["refine.ridge_absolute = 1"]\n'
    text = SUITE.replace('["methods.erase"]', '["methods.erase", "tuned.erase"]').replace('["uce"]', '["uce", "mild"]')
    Path("s.toml").write_text(f'{text}[tuning]\ntasks = ["dog.erase"]\ninto = "tuned.erase"\n{trials}')
    assert "mild" not in {cell.method for cell in wanted(suite())}
    assert bench("--page").exit_code == 0 and "Not tuned yet: mild." in Path("s.md").read_text("utf-8")
    Path("tuned.erase").write_text("define method mild = uce { refine.ridge_absolute = 1 }")
    assert "mild" in {cell.method for cell in wanted(suite())}
