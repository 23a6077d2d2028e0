"""One cell, in a process of its own: `python -m tracelang.bench.cell FOLDER` applies the recipe there and verifies it.

`FOLDER/cell.json` says what is asked; `FOLDER/outcome.json` is written last, whole. Killed at any time it goes on where
it was: training from its own state, verification unit by unit.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.bench.results import AttackFigure, Beyond, Found, HalfLife, Learnt, Outcome, Pictures, Share, Spent
from tracelang.clock import work_clock
from tracelang.files import write_text
from tracelang.version import versions

if TYPE_CHECKING:
    from tracelang.evidence.schema import Rate, Relearning, Report

PACKAGES = ("tracelang", "torch", "diffusers", "transformers", "numpy")
"""Of whose numbers trajectories are made."""
ELSEWHERE = 75
"""The exit code where another process is at work on the same cell."""
INTERRUPTED = 130


def main(folder: Path) -> int:
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ELSEWHERE
        if (folder / "outcome.json").is_file():
            return 0  # by a process that outlived the one that began it
        asked = json.loads((folder / "cell.json").read_bytes())
        _share(folder)
        try:
            with refusals() as refused:
                outcome = Outcome(found=None, spent=_applied(folder, asked))
                outcome = outcome.model_copy(update={"found": _verified(folder, asked)})
                spent = outcome.spent
                assert spent is not None
                outcome = outcome.model_copy(update={"spent": spent.model_copy(update=_verification(folder))})
        except KeyboardInterrupt:
            return INTERRUPTED
        if refused:
            outcome = Outcome(refusal=refused[0])
        write_text(folder / "outcome.json", outcome.model_dump_json())
        return 0


SHARED, TRAINED = "shared", "trained"
"""Beside the cells: what they have in common, and in it what was trained for each edit."""


def _share(folder: Path) -> None:
    """A cache of the cell's own, so that no method finds text states that another encoded, with trajectories in common:
    what those took to record is told with each.
    """
    cache, common = (folder / "cache").resolve(), _common(folder) / "trajectories"
    cache.mkdir(parents=True, exist_ok=True)
    common.mkdir(parents=True, exist_ok=True)
    if not (cache / "trajectories").exists():
        (cache / "trajectories").symlink_to(common, target_is_directory=True)
    os.environ["TRACELANG_CACHE"] = str(cache)


def _common(folder: Path) -> Path:
    """What the cells of one installation have in common: another one's numbers may be others."""
    told = json.dumps(versions(PACKAGES), sort_keys=True)
    return folder.resolve().parent / SHARED / hashlib.sha256(told.encode()).hexdigest()[:16]


@contextmanager
def refusals() -> Iterator[list[str]]:
    """What a recipe, a model or a judge refuses becomes one line of the list; a crash stays one."""
    from tracelang.checkpoint.output import OutputError
    from tracelang.diagnostics import CompileError
    from tracelang.engine.errors import EngineError
    from tracelang.evidence.artifact import EvidenceError
    from tracelang.evidence.panel import JudgeError
    from tracelang.evidence.work import WorkError
    from tracelang.plan.bind import BindError
    from tracelang.plan.family import ModelError
    from tracelang.plan.layers import SelectionError
    from tracelang.plan.windows import WindowError

    found: list[str] = []
    try:
        yield found
    except CompileError as error:
        first = error.diagnostics[0]
        found.append(f"{first.code}: {first.message}"[:500])
    except (
        *(BindError, EngineError, EvidenceError, JudgeError, ModelError),
        *(OutputError, SelectionError, WindowError, WorkError),
    ) as error:
        found.append(" ".join(str(error).split())[:500])


def _applied(folder: Path, asked: dict[str, Any]) -> Spent:
    """The edit in `folder/out`, and what it took; of one that is there already, what it took then. What was trained for
    it serves every cell that verifies the same edit: they wait for each other.
    """
    from tracelang import api
    from tracelang.checkpoint.forms import usual
    from tracelang.engine.cache import SPARED
    from tracelang.plan.compile import compile

    done, out, root = folder / "spent.json", folder / "out", folder / "recipe"
    if done.is_file():
        return Spent.model_validate_json(done.read_bytes())
    bound = api.bind(compile(root / asked["recipe"], root=root), asked["model"], config=asked["config"])
    emit = (usual(bound.folder, bound.plan)[0], "delta")
    api.check_output(bound, out, emit=emit, force=True, root=root, untouched="link")
    device = asked["device"] or api.best_device()
    made = _common(folder) / TRAINED / f"{asked['edit']}-{device.replace(':', '-')}"
    made.mkdir(parents=True, exist_ok=True)
    with (made / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first, begun = made / "spent.json", made / "begun"
        before = Spent.model_validate_json(first.read_bytes()) if first.is_file() else None
        again = begun.exists()
        begun.touch()
        start = work_clock(device)
        applied = api.apply(bound, device=device, dtype=asked["dtype"], state=made)
        seconds = work_clock(device) - start + sum(SPARED.values())
        memory = _memory(str(applied.text.device))
        applied.save(out, emit=emit, force=True, root=root, untouched="link")
        spent = before or Spent(
            frozen=sum(part.cost.frozen for part in bound.passes),
            trained=sum(part.cost.trained for part in bound.passes),
            seconds=None if again else round(seconds, 2),
            memory=memory,
            delta=(out / "delta.safetensors").stat().st_size,
            device=_device(str(applied.text.device)),
        )
        write_text(first, spent.model_dump_json())
    write_text(done, spent.model_dump_json())
    return spent


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _device(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return device


def _verified(folder: Path, asked: dict[str, Any]) -> Found:
    from tracelang import api
    from tracelang.evidence import budgets

    api.verify(
        folder / "out",
        judges=asked["judges"],
        device=asked["device"],
        dtype=asked["dtype"],
        model=asked["model"],
        config=asked["config"],
        samples=0,
        steps=asked["steps"],
        budget=budgets.read(asked["budget"]) if asked["budget"] else None,
        keep="all" if asked["keep"] else "shown",
        pictures="plain" if asked["keep"] else "none",
        shelf=_common(folder) / "drawn",
        say=lambda line: None,
    )
    return found(folder / "out")


def found(out: Path) -> Found:
    """What a verification that is done says: its report's figures, and picture by picture what its records hold."""
    from tracelang.evidence import artifact as artifacts
    from tracelang.evidence.metrics.metric import Pair
    from tracelang.evidence.pictures import roles
    from tracelang.evidence.report.figures import Evidence
    from tracelang.evidence.schema import Report
    from tracelang.evidence.units import read
    from tracelang.evidence.units.relearn import USUAL, Course
    from tracelang.evidence.work import latest, opened

    artifact = artifacts.read(out, whole=False)
    where = latest(artifact.report / "work")
    assert where is not None
    work = opened(where)
    evidence = Evidence.of(artifact.plan, work.run, {key: read(one) for key, one in work.records().items()})
    report = Report.model_validate_json((artifact.report / "report.json").read_bytes())
    role = roles(artifact.plan)

    def mark(pair: Pair, side: str, known: bool) -> str:
        return "x" if pair.error or not known else str(int(getattr(pair, side).shows))

    pictures = []
    for row in evidence.every:
        pairs = evidence.measured.pairs(row)
        if not pairs:
            continue
        known = row.member in work.run.classes
        subjects = [pair.after.subject for pair in pairs]
        chances = [pair.after.chance for pair in pairs if pair.after.chance is not None]
        clips = [pair.clip for pair in pairs if pair.clip]
        pictures.append(
            Pictures(
                member=row.member,
                how=row.how,
                role=role.get(row.member, "other"),
                base="".join(mark(pair, "base", known) for pair in pairs),
                after="".join(mark(pair, "after", known) for pair in pairs),
                things="".join("-" if one is None else str(int(one)) for one in subjects),
                chance=round(sum(chances) / len(chances), 6) if chances else None,
                clip=(
                    (round(sum(a for a, _ in clips) / len(clips), 4), round(sum(b for _, b in clips) / len(clips), 4))
                    if clips
                    else None
                ),
            )
        )
    probed = report.controls.probes if report.controls else ()
    return Found(
        pictures=tuple(pictures),
        attacks=tuple(
            AttackFigure(
                member=one.member,
                attack=one.attack,
                hits=one.adaptive.hits if one.adaptive else 0,
                n=one.adaptive.n if one.adaptive else 0,
                held_out=one.held_out,
                seconds=round(one.seconds, 1),
                error=one.error,
            )
            for one in report.attacks
        ),
        beyond=tuple(
            Beyond(
                member=one.member,
                how=one.how,
                value=one.excess.value if one.excess else None,
                low=one.excess.low if one.excess else None,
                high=one.excess.high if one.excess else None,
                verdict=one.verdict,
                why=one.why,
                base=_counted(one.base),
                edited=_counted(one.edited),
                never=tuple(told for each in one.never if (told := _counted(each.rate)) is not None),
                random=_counted(one.random.rate) if one.random else None,
                valid=one.valid,
                powered=one.powered,
            )
            for one in probed
        ),
        learnt=tuple(_learnt(one) for one in report.relearning if Course(one.data, one.pictures, one.tuning) == USUAL),
        harmonics=report.harmonics,
        fid=_asked(report, "fid") or (report.quality.fid if report.quality else None),
        kid=report.quality.kid if report.quality else None,
        verdict=report.verdict,
        integrity=report.integrity.verdict if report.integrity else None,
        judges={card.name: card.digest for card in report.judges},
        errors=report.errors[:20],
    )


def _counted(found: Rate | None) -> Share | None:
    return None if found is None else (found.hits, found.n)


def _learnt(one: Relearning) -> Learnt:
    low, high = one.interval or (None, None)
    return Learnt(
        member=one.member,
        models={
            curve.model: HalfLife(
                steps=round(curve.half_life, 2),
                low=round(curve.interval[0], 2) if curve.interval else None,
                high=round(curve.interval[1], 2) if curve.interval and curve.interval[1] is not None else None,
                reached=not curve.censored,
            )
            for curve in one.curves
        },
        ratio=one.ratio,
        low=low,
        high=high,
        bound=one.bound,
        sham=one.sham,
        reading=one.reading,
        why=one.reason,
    )


def _asked(report: Report, metric: str) -> float | None:
    """The mean figure of a metric that the recipe expects something of."""
    values = [
        one.value for outcome in report.outcomes if outcome.metric == metric for one in outcome.measures if one.value
    ]
    return sum(values) / len(values) if values else None


def _verification(folder: Path) -> dict[str, Any]:
    """Seconds of work by kind, an attack by its name; and the pictures that were drawn."""
    from tracelang.evidence.units import read
    from tracelang.evidence.units.attack import AttackRecord
    from tracelang.evidence.work import latest, opened

    where = latest(folder / "out" / "report" / "work")
    assert where is not None
    records = [read(one) for one in opened(where).records().values()]
    seconds: dict[str, float] = {}
    for record in records:
        kind = f"attack {record.attack}" if isinstance(record, AttackRecord) else record.kind
        seconds[kind] = round(seconds.get(kind, 0.0) + record.processor, 2)
    return {"verify": seconds, "drawn": sum(record.pictures for record in records)}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's `&` takes away
    raise SystemExit(main(Path(sys.argv[1])))
