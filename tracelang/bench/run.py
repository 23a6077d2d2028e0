"""Measuring what is missing of a suite: a process a cell, several side by side, resumable whenever it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracelang.bench import cell as process
from tracelang.bench import results
from tracelang.bench.cells import RECIPE, Cell, stage
from tracelang.bench.results import Outcome, Result
from tracelang.bench.suite import Suite
from tracelang.files import write_text

WORK = "work"
PATIENCE = 20.0
"""Seconds that a stopped process has to leave a state."""
LAST = 300
"""So many characters of what a process that failed said are told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How the cells are measured: what their key does not hold."""

    device: str | None = None
    config: str | None = None
    jobs: int = 1
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run: the results by key, the keys that another process is at work on, and what crashed, why."""

    results: Mapping[str, Result]
    elsewhere: tuple[str, ...]
    failed: Mapping[str, str]


def missing(wanted: Sequence[Cell], found: Mapping[str, Result]) -> list[Cell]:
    """The cells that have no figures, each key once: what was refused is asked again."""
    each = {cell.key: cell for cell in wanted}
    return [cell for key, cell in each.items() if key not in found or found[key].outcome.refusal]


def share(cells: Sequence[Cell], shard: tuple[int, int] | None) -> list[Cell]:
    """The cells of shard `i` of `n`, from 1: by their place in the whole suite, so that shards agree."""
    return list(cells) if shard is None else [cell for k, cell in enumerate(cells) if k % shard[1] == shard[0] - 1]


def measure(suite: Suite, wanted: Sequence[Cell], asked: Asked, say: Callable[[str], None]) -> Run:
    """Measure the cells, `jobs` at a time, and keep each result as soon as it is there. `say` is told of each.

    Raises ResultError, OSError; KeyboardInterrupt when every process has left its state.
    """
    keys = list(dict.fromkeys(cell.key for cell in wanted))
    found = results.held(suite.results, keys)
    waiting = missing(wanted, found)
    running: dict[subprocess.Popen[bytes], Cell] = {}
    elsewhere, failed, total = list[str](), dict[str, str](), len(waiting)
    try:
        while waiting or running:
            while waiting and len(running) < asked.jobs:
                cell = waiting.pop(0)
                running[started(suite, cell, asked)] = cell
            for one in [one for one in running if one.poll() is not None]:
                cell = running.pop(one)
                folder = _folder(suite, cell)
                done = total - len(waiting) - len(running)
                if one.returncode == process.ELSEWHERE:
                    elsewhere.append(cell.key)
                elif (outcome := _outcome(folder)) is None:
                    failed[cell.key] = _why(folder, one.returncode)
                    say(f"{done}/{total} {cell.title}: failed: {failed[cell.key]}")
                else:
                    result = _result(cell, outcome)
                    results.keep(suite.results, result)
                    found[cell.key] = result
                    if not asked.keep:
                        shutil.rmtree(folder, ignore_errors=True)
                    say(f"{done}/{total} {cell.title}: {summary(result)}")
            time.sleep(0.05)
    except KeyboardInterrupt:
        _stop(running)
        raise
    return Run(found, tuple(elsewhere), failed)


def tidy(suite: Suite, every: Iterable[Cell]) -> None:
    """Drop what cells have in common once each has a result."""
    keys = {cell.key for cell in every}
    work = suite.results / WORK
    if results.held(suite.results, keys).keys() == keys:
        shutil.rmtree(work / process.SHARED, ignore_errors=True)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def _folder(suite: Suite, cell: Cell) -> Path:
    return suite.results / WORK / cell.key


def prepared(suite: Suite, cell: Cell, asked: Asked) -> Path:
    """The folder of a cell with all that its process reads."""
    folder = _folder(suite, cell)
    folder.mkdir(parents=True, exist_ok=True)
    if (before := _outcome(folder)) is not None and before.refusal:
        (folder / "outcome.json").unlink()  # it may not be refused any more
    stage(suite, cell, folder / "recipe")
    told = {
        "recipe": RECIPE,
        "model": cell.base.model,
        "config": asked.config,
        "device": asked.device,
        "dtype": cell.dtype or None,
        "judges": list(cell.part.judges),
        "steps": cell.part.steps,
        "budget": cell.part.budget,
        "keep": asked.keep,
    }
    write_text(folder / "cell.json", json.dumps(told) + "\n")
    return folder


def started(suite: Suite, cell: Cell, asked: Asked) -> subprocess.Popen[bytes]:
    """The process of a cell."""
    folder = prepared(suite, cell, asked)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // asked.jobs))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tracelang.bench.cell", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": threads},
        )


def _stop(running: Mapping[subprocess.Popen[bytes], Cell]) -> None:
    """Wait until every process has left its state; one that takes too long is killed, and loses its last unit."""
    for one in running:
        if one.poll() is None:
            one.send_signal(2)
    until = time.monotonic() + PATIENCE
    for one in running:
        try:
            one.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def _outcome(folder: Path) -> Outcome | None:
    file = folder / "outcome.json"
    return Outcome.model_validate_json(file.read_bytes()) if file.is_file() else None


def _result(cell: Cell, outcome: Outcome) -> Result:
    return Result(
        key=cell.key,
        facts=cell.facts,
        task=cell.task,
        method=cell.method,
        model=cell.base.title,
        seed=cell.seed,
        steps=cell.steps,
        outcome=outcome,
    )


def _why(folder: Path, code: int) -> str:
    """The last line that a process said, and how it ended."""
    text = (folder / "log").read_text("utf-8", "replace").strip() if (folder / "log").is_file() else ""
    last = text.splitlines()[-1][-LAST:] if text else "it said nothing"
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{last} ({how}); all that it said is in {folder / 'log'}"


def summary(result: Result) -> str:
    """A result in a line."""
    from tracelang.bench.figures import shares

    outcome = result.outcome
    if outcome.refusal:
        return f"refused: {outcome.refusal}"
    told = [f"{name} {100 * hits / n:.1f} %" for name, (hits, n) in shares([result]).items() if n]
    seconds = outcome.spent.seconds if outcome.spent else None
    return "; ".join([f"{seconds:.0f} s" if seconds is not None else "interrupted and gone on", *told])
