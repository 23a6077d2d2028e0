"""`verify`: what a recipe expects of an edit, and what an auditor asks besides, measured and written down."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracelang.clock import work_clock
from tracelang.evidence import artifact as artifacts
from tracelang.evidence import registered, rejudged
from tracelang.evidence.artifact import EvidenceError, going_on
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Bench, Keep, Unit
from tracelang.evidence.controls import Asked
from tracelang.evidence.judges import Judge
from tracelang.evidence.known import read as read_known
from tracelang.evidence.machine import machine
from tracelang.evidence.pictures import SAMPLES
from tracelang.evidence.prepare import STEPS, prepare
from tracelang.evidence.report.against import earlier
from tracelang.evidence.report.compose import publish
from tracelang.evidence.report.html import Shown
from tracelang.evidence.schema import Report
from tracelang.evidence.shelf import Shelf
from tracelang.evidence.units import KINDS, share
from tracelang.evidence.work import Run, Work, alone, gather
from tracelang.models import weights
from tracelang.progress import Progress


@going_on("a judge, an attack or a library under them")
def verify(
    out: str | Path,
    judges: Sequence[str | Judge] = (),
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] | None = None,
    model: str | None = None,
    progress: Progress | None = None,
    budget: Budget | None = None,
    *,
    samples: int = SAMPLES,
    steps: int = STEPS,
    against: str | Path | None = None,
    pictures: Shown = "plain",
    config: str | None = None,
    judges_known: Sequence[str | Path] = (),
    controls: Sequence[Asked] = (),
    thorough: bool = False,
    keep: Keep | None = None,
    kept: bool = False,
    shelf: Path | None = None,
    say: Callable[[str], None] = warnings.warn,
) -> Report | None:
    """Measure the edit in OUT, write its report, and return it; with a `shard` (i of n, from 1) only do that share of
    the work, for `merge`, and return None.

    What is finished is kept in OUT/report/work, so that the same call goes on after an interruption. `judges` are
    `NAME[=VALUE]` or judges themselves; none: the installed ones that suit. `samples` is the number of pictures of
    each concept and attack of which the recipe expects nothing; 0 leaves out all that it does not ask for. `against` is
    another verified OUT, with which the report compares every rate. `pictures` is which of them the page holds.
    `config` is that of a base that is a single file, where OUT does not hold all of it. `controls` are models that the
    edit is read beside; `thorough` takes more of everything that a small machine has little time for. `keep` is which
    pictures of plain prompts stay in the work folder; by default all of an embedded model. `kept`: judge those that the
    latest run kept, and draw none again; what that run was told (samples, steps, …) holds then. `judges_known`
    are files of `tracec judge`, by which rates are corrected. `shelf` is a folder in which what the base and controls
    draw is kept, for the verification of another edit of the same base to find. `say` is told, before anything is
    drawn, of every bound that cannot pass with so few pictures or by these judges, and of an earlier report that was
    changed or is set aside.

    What other runs finished stays, and so does every earlier report. Raises EvidenceError, JudgeError, ModelError,
    CompileError, KnownError; WorkError where another run is at work in OUT, or a finished unit was changed.
    """
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise EvidenceError(f"shard {shard[0]}/{shard[1]}: shards are counted from 1 to their number")
    known = [read_known(Path(file)) for file in judges_known]
    asked: dict[str, Any] = {
        "device": device,
        "dtype": dtype,
        "budget": budget,
        "samples": samples,
        "steps": steps,
        "controls": controls,
        "thorough": thorough,
        "keep": keep,
    }
    then = rejudged.before(artifacts.read(Path(out))) if kept else None
    if then is not None:
        asked = rejudged.settings(then)
    ready = prepare(Path(out), judges, model=model, config=config, known=known, say=say, **asked)
    if then is not None:
        ready = rejudged.narrowed(ready, then)
    artifact, bench, run = (
        ready.artifact,
        replace(ready.bench, shelf=None if shelf is None else Shelf(shelf)),
        ready.run,
    )
    other = None if against is None else earlier(Path(against), run)
    root = artifact.report / "work"
    with alone(root, run):
        work = Work(root / run.folder, run)
        work.begin()
        registered.begun(artifact.report, work)
        if then is not None:
            rejudged.taken_over(ready.units, then, work)
        own = share(ready.units, shard)
        if any(not (work.folder / f"{unit.key}.json").exists() for unit in own):
            work.note(machine())
        for control, kind in dict.fromkeys((unit.control, unit.kind) for unit in own):
            part = [unit for unit in own if (unit.control, unit.kind) == (control, kind)]
            for i, unit in enumerate(part):
                if work.record(unit.key) is None:
                    work.finish(unit.key, done(unit, bench, work.folder))
                if progress:
                    progress(KINDS[kind].title, i + 1, len(part))
        artifacts.unchanged(artifact, bench.folder)
        return publish(artifact, work, other, say, pictures, known) if shard is None else None


def register(
    out: str | Path, judges: Sequence[str | Judge] = (), *, judges_known: Sequence[str | Path] = (), **asked: Any
) -> registered.Entry:
    """Write down, with the date, what `verify` would do with the same arguments, and draw nothing. The report of a run
    that begins later says whether it ran so. `judges_known` as for `verify`; `asked` is what `prepare` takes.

    Raises as `verify` does.
    """
    known = [read_known(Path(file)) for file in judges_known]
    ready = prepare(Path(out), judges, known=known, **asked)
    return registered.register(ready.artifact.report, ready.artifact.plan, ready.run, known)


def merge(
    out: str | Path,
    shards: Sequence[str | Path] = (),
    against: str | Path | None = None,
    *,
    judges_known: Sequence[str | Path] = (),
    pictures: Shown = "plain",
    say: Callable[[str], None] = warnings.warn,
) -> Report:
    """Compose the report from finished shards: the latest run in OUT's own work folder, and those of other machines.
    `against`, `judges_known`, `pictures` and `say` as for `verify`.

    Raises EvidenceError, KnownError, WorkError where units are missing, changed or of another run.
    """
    artifact = artifacts.read(Path(out))
    known = [read_known(Path(file)) for file in judges_known]
    root = artifact.report / "work"
    same = (artifact.plan.digest, artifact.fingerprint, artifact.adapter_digest, artifact.lock["model"]["fingerprint"])

    def fits(run: Run) -> None:
        if weights.outdated(str(run.facts.get("base"))):
            raise EvidenceError(f"{root}: {run.folder} names the base by an older fingerprint; verify {out} again")
        if tuple(run.facts.get(name) for name in ("plan", "edited", "adapter", "base")) != same:
            raise EvidenceError(f"{root}: {run.folder} is a verification of another edit than {out}; verify it again")

    work = gather(root, [Path(shard) for shard in shards], fits)
    other = None if against is None else earlier(Path(against), work.run)
    with alone(root, work.run):
        registered.begun(artifact.report, work)
        artifacts.unchanged(artifact)
        return publish(artifact, work, other, say, pictures, known)


def done(unit: Unit, bench: Bench, folder: Path) -> dict[str, Any]:
    """What the file of a unit says, whose pictures are kept in the work folder."""
    bench.spared.clear()
    begin, worked = time.monotonic(), work_clock(bench.base.device.type)
    record = unit.done(bench, folder / unit.key)
    cost = {
        "kind": unit.kind,
        "seconds": time.monotonic() - begin,
        "processor": work_clock(bench.base.device.type) - worked,
        "memory": bench.memory(),
    }
    if spared := bench.spared.get("pictures"):
        cost["pictures"] = max(0, record.pictures - spared)
    return record.model_copy(update=cost).to_json()
