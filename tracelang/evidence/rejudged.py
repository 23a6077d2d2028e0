"""Other judges on the pictures that a run kept: nothing of plain prompts is drawn again.

What no picture was kept of (attacks, controls, degrees, trainings) is not looked at, and says so; what no judge had a
part in (certificate, drift, noise levels, rounding) is taken over. Everyday pictures are drawn where the judges' own
panel asks for others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tracelang.evidence.artifact import Artifact, EvidenceError
from tracelang.evidence.bench import Unit
from tracelang.evidence.pictures import Sample
from tracelang.evidence.prepare import Prepared
from tracelang.evidence.rating.errors import RatingError
from tracelang.evidence.rating.kept import places
from tracelang.evidence.reproduce import told
from tracelang.evidence.units import read
from tracelang.evidence.units.certificate import CertificateUnit
from tracelang.evidence.units.drift import DriftUnit
from tracelang.evidence.units.everyday import EverydayRecord, EverydayUnit
from tracelang.evidence.units.noise import NoiseUnit
from tracelang.evidence.units.rounding import RoundingUnit
from tracelang.evidence.units.shots import ShotsRecord, ShotsUnit
from tracelang.evidence.work import KEPT_BY, Run, Work, WorkError, latest, opened

JUDGED: tuple[type[Unit], ...] = (ShotsUnit, EverydayUnit)
UNJUDGED: tuple[type[Unit], ...] = (CertificateUnit, RoundingUnit, NoiseUnit, DriftUnit)
SAME = ("plan", "base", "edited", "adapter", "sampler", "samples", "device", "dtype", "versions")
"""What the pictures depend on."""


def before(artifact: Artifact) -> Work:
    """The run whose pictures are judged: the latest one. Raises EvidenceError, WorkError."""
    folder = latest(artifact.report / "work")
    if folder is None:
        raise EvidenceError(f"{artifact.out}: kept no pictures yet; run: tracec verify {artifact.out} --keep all")
    return opened(folder)


def settings(then: Work) -> dict[str, Any]:
    """What `prepare` takes, as the run before was told it, but for its controls."""
    return {**told(then, None, ()), "controls": (), "keep": "all"}


def narrowed(ready: Prepared, then: Work) -> Prepared:
    """The same run on the pictures that `then` kept. Raises EvidenceError where it kept only some, or drew others."""
    out, run = ready.artifact.out, ready.run
    if other := next((name for name in SAME if run.facts.get(name) != then.run.facts.get(name)), ""):
        raise EvidenceError(f"{out}: what was kept was drawn otherwise ({other} differs); verify it without --kept")
    units = tuple(
        unit
        for unit in ready.units
        if isinstance(unit, JUDGED) or (isinstance(unit, UNJUDGED) and unit.key in then.run.units)
    )
    if why := next((f"{unit.key} is not finished" for unit in units if _unfinished(unit, then)), ""):
        raise EvidenceError(f"{out}: the run whose pictures are to be judged has not ended ({why}); let it end first")
    kept = pictures(ready.artifact, then)
    asked = {sample for unit in units if isinstance(unit, ShotsUnit) for sample in unit.samples}
    if lost := asked - kept.keys():
        raise EvidenceError(
            f"{out}: {len(lost)} of {len(asked)} pictures were not drawn then, for no judge knew what they show; "
            "verify it without --kept"
        )
    digest = str(then.run.facts.get(KEPT_BY, then.run.digest))
    note = (
        f"everything but plain prompts, for the pictures are those that run {digest[:16]} kept, judged again as the "
        "files have them: attacks, controls, degrees and trainings were not"
    )
    panel = replace(ready.bench.panel, notes=(*run.notes, note))
    facts = {**run.facts, KEPT_BY: digest}
    return replace(
        ready,
        bench=replace(ready.bench, kept=kept),
        units=units,
        run=Run.of(panel, facts, [unit.key for unit in units], {}),
    )


def taken_over(units: tuple[Unit, ...], then: Work, work: Work) -> None:
    """What no judge had a part in, as `then` found it."""
    for unit in units:
        record = then.record(unit.key) if isinstance(unit, UNJUDGED) else None
        if record is not None and work.record(unit.key) is None:
            own = {name: value for name, value in record.items() if name not in ("run", "key", "digests", "sha256")}
            work.finish(unit.key, {**own, "seconds": 0.0})


def pictures(artifact: Artifact, then: Work) -> dict[Sample, tuple[Path, Path]]:
    """The files of every pair of plain prompts, and of the everyday ones. Raises EvidenceError, WorkError."""
    try:
        places(artifact, then)
    except RatingError as error:
        raise EvidenceError(str(error)) from None
    found: dict[Sample, tuple[Path, Path]] = {}
    for key in then.run.units:
        record = read(file) if (file := then.record(key)) is not None else None
        if isinstance(record, ShotsRecord | EverydayRecord):
            for row in record.rows:
                if row.files:
                    found[row.sample] = then.folder / row.files[0], then.folder / row.files[1]
    return found


def _unfinished(unit: Unit, then: Work) -> bool:
    try:
        return not isinstance(unit, EverydayUnit) and then.record(unit.key) is None
    except WorkError:
        return False  # said where it is read
