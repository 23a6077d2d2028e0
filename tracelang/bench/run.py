"""Measuring what is missing of a suite: a process a cell, several side by side, resumable whenever it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tracelang.bench import cell as process
from tracelang.bench import results
from tracelang.bench.cells import RECIPE, Cell, stage
from tracelang.bench.results import Outcome, Result, ResultError
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
    """The cells of shard `i` of `n`, from 1: by their place in the whole suite, so that shards agree; one that stands
    in two parts is in one shard.
    """
    each = list({cell.key: cell for cell in cells}.values())
    return each if shard is None else each[shard[0] - 1 :: shard[1]]


@contextmanager
def _ended() -> Iterator[None]:
    """What would end this process, such as a closed terminal, is a Ctrl-C: its cells leave their state and end too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ends = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) == signal.SIG_DFL]
    for one in ends:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in ends:
            signal.signal(one, signal.SIG_DFL)


@_ended()
def measure(
    suite: Suite, wanted: Sequence[Cell], asked: Asked, say: Callable[[str], None], every: Sequence[Cell] = ()
) -> Run:
    """Measure the cells, `jobs` at a time, and keep each result as soon as it is there. `say` is told of each. What was
    trained for an edit stays as long as one of `every` cell of the suite, these or others, is to verify it.

    Raises ResultError, OSError, KeyboardInterrupt, once every process has left its state; the last one also where this
    process is told to end.
    """
    keys = list(dict.fromkeys(cell.key for cell in wanted))
    found = results.held(suite.results, keys)
    waiting = missing(wanted, found)
    running: dict[subprocess.Popen[bytes], Cell] = {}
    elsewhere, failed, total = list[str](), dict[str, str](), len(waiting)
    whole = {cell.key: cell for cell in (*every, *wanted)}
    of_edit: dict[str, list[Cell]] = {}
    for cell in whole.values():
        of_edit.setdefault(cell.edit, []).append(cell)
    try:
        while waiting or running:
            while waiting and len(running) < asked.jobs:
                cell = waiting.pop(0)
                now = results.held(suite.results, [cell.key])
                if not missing([cell], now):  # another process was here meanwhile
                    found.update(now)
                    continue
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
                    same = of_edit[cell.edit]  # of which another process may have measured some
                    if not missing(same, results.held(suite.results, [one.key for one in same])):
                        _forget(suite, cell)
                    say(f"{done}/{total} {cell.title}: {summary(result)}")
            time.sleep(0.05)
    except BaseException:
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


def _forget(suite: Suite, cell: Cell) -> None:
    """Drop what was trained for an edit, on whatever device."""
    for made in (suite.results / WORK / process.SHARED).glob(f"*/{process.TRAINED}/{cell.edit}-*"):
        shutil.rmtree(made, ignore_errors=True)


def _folder(suite: Suite, cell: Cell) -> Path:
    return suite.results / WORK / cell.key


def prepared(suite: Suite, cell: Cell, asked: Asked) -> Path:
    """The folder of a cell with all that its process reads."""
    folder = _folder(suite, cell)
    common = folder.parent / process.SHARED
    shared = common, *common.glob("*"), *common.glob("*/*"), *common.glob(f"*/{process.TRAINED}/**/*")
    for path in (folder.parent, *shared, folder, *folder.glob("*"), *folder.glob("recipe/**/*")):
        if path.is_symlink():
            raise ResultError(f"{path}: is a link, and what is measured would be written elsewhere; remove it")
    folder.mkdir(parents=True, exist_ok=True)
    before = _outcome(folder)
    if before is None or before.refusal:
        (folder / "outcome.json").unlink(missing_ok=True)  # it may not be refused any more
    stage(suite, cell, folder / "recipe")
    told = {
        "recipe": RECIPE,
        "model": cell.base.model,
        "config": asked.config,
        "device": asked.device,
        "dtype": cell.dtype or None,
        "edit": cell.edit,
        "judges": list(cell.part.judges),
        "steps": cell.part.steps,
        "budget": cell.part.budget,
        "keep": asked.keep,
    }
    write_text(folder / "cell.json", json.dumps(told) + "\n")
    return folder


def started(suite: Suite, cell: Cell, asked: Asked) -> subprocess.Popen[bytes]:
    """The process of a cell. Ctrl-C reaches it through this one and once: a second one would not wait for its state."""
    folder = prepared(suite, cell, asked)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // asked.jobs))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "tracelang.bench.cell",
                str(folder),
            ],  # nothing is imported from where it stands
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            env={**os.environ, "OMP_NUM_THREADS": threads},
        )


def _stop(running: Mapping[subprocess.Popen[bytes], Cell]) -> None:
    """Wait until every process has left its state; one that takes too long is killed, and loses its last unit."""
    for one in running:
        if one.poll() is None:
            one.send_signal(signal.SIGINT)
    until = time.monotonic() + PATIENCE
    for one in running:
        try:
            one.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def _outcome(folder: Path) -> Outcome | None:
    """What a process left; None where that is nothing, or can no more be read."""
    file = folder / "outcome.json"
    try:
        return Outcome.model_validate_json(file.read_bytes()) if file.is_file() else None
    except ValidationError:
        return None


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
