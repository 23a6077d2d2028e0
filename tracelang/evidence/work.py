"""The work folder: each finished unit is a file that appears whole or not at all, so that a run may stop anywhere.

Every run has a folder of its own in it, named by the run's digest, so that one never removes what another finished;
`latest` names the one that began last. A run's `run.json` says what all of its units belong to. Its digest covers
everything the results depend on (plan, weights, judges, sampler, precision, torch), so a unit of another run is never
taken for one of this. Beside that it says when the run began, and on which machines units were finished; neither is in
the digest.

A unit's file carries the sha256 of all that it says, the digests of its pictures included: whoever changes one of them
is noticed. There is no key in it, so whoever computes the digests anew is not.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from tracelang.clock import utc
from tracelang.evidence.judges import Class
from tracelang.evidence.panel import Panel, Sought
from tracelang.evidence.schema import JudgeCard
from tracelang.files import write_text
from tracelang.models.weights import sha256
from tracelang.plan.types import Member
from tracelang.text import few

LATEST = "latest"
KEPT_BY = "kept_by"
"""The fact of a run whose pictures another one kept: that one's digest."""
COST = ("seconds", "processor", "memory", "sha256")
"""What of a record no result is."""
PATIENCE = 2.0
"""Seconds to wait for a run that is just beginning to say which one it is."""
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class WorkError(Exception):
    """Finished work that is not there or does not belong here. `str()` is one line."""


@dataclass(frozen=True)
class Run:
    """What was asked, of what, by whom: all that composing the report needs besides the records."""

    facts: Mapping[str, Any]
    units: tuple[str, ...]
    cards: tuple[JudgeCard, ...]
    classes: Mapping[Member, tuple[Sought, ...]]
    unknown: Mapping[Member, str]
    notes: tuple[str, ...]
    attacks: Mapping[str, str]
    """The attacks there are, with the access each needs."""
    also: Mapping[Member, tuple[Sought, ...]] = field(default_factory=dict)
    """The classes of further judges that know a member, beside the one that decides."""

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(_text(self.to_json()).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """The name of its folder in a work folder."""
        return self.digest[:16]

    def to_json(self) -> dict[str, Any]:
        return {
            "facts": dict(self.facts),
            "units": list(self.units),
            "judges": [card.model_dump(mode="json", exclude={"again"}) for card in self.cards],
            "classes": _classes(self.classes),
            "also": _classes(self.also),
            "unknown": [[member, why] for member, why in self.unknown.items()],
            "notes": list(self.notes),
            "attacks": dict(self.attacks),
        }

    @staticmethod
    def of(panel: Panel, facts: Mapping[str, Any], units: Sequence[str], attacks: Mapping[str, str]) -> Run:
        run = Run(facts, tuple(units), panel.cards, panel.classes, panel.unknown, panel.notes, attacks, panel.also)
        return Run.from_json(json.loads(_text(run.to_json())))  # what `merge` will read, in that very order

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Run:
        return Run(
            data["facts"],
            tuple(data["units"]),
            tuple(JudgeCard.model_validate(card) for card in data["judges"]),
            _sought(data["classes"]),
            {tuple(member): why for member, why in data["unknown"]},
            tuple(data["notes"]),
            data["attacks"],
            _sought(data["also"]),
        )


def _classes(known: Mapping[Member, tuple[Sought, ...]]) -> list[Any]:
    return [
        [member, [[one.judge, one.found.head, one.found.label] for one in sought]] for member, sought in known.items()
    ]


def _sought(said: Any) -> dict[Member, tuple[Sought, ...]]:
    return {tuple(m): tuple(Sought(j, Class(h, label)) for j, h, label in some) for m, some in said}


@dataclass(frozen=True, slots=True)
class Work:
    """The folder of one run's units, `OUT/report/work/<run.folder>`."""

    folder: Path
    run: Run

    def begin(self, begun: str = "") -> None:
        """Make the folder, and the run the latest one, begun at the date given if it was not begun before that, by
        default now. What other runs left stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder):
            told = self._told()
            dates = [date for date in (begun, told["begun"]) if date]
            self._tell({**told, "begun": min(dates, default="") or utc()})
        write_text(self.folder.parent / LATEST, f"{self.folder.name}\n")

    @property
    def begun(self) -> str:
        """When the run began, in UTC; empty where it did not, or nobody wrote it down."""
        return str(self._told()["begun"])

    @property
    def machines(self) -> list[dict[str, Any]]:
        """The machines on which units of it were finished."""
        found: list[dict[str, Any]] = self._told()["machines"]
        return found

    def note(self, machine: Mapping[str, Any]) -> None:
        """Write down a machine on which units are about to be done."""
        with held(self.folder):
            told = self._told()
            if machine not in told["machines"]:
                self._tell({**told, "machines": [*told["machines"], machine]})

    def _told(self) -> dict[str, Any]:
        file = _read(self.folder / "run.json") or {}
        return {"begun": file.get("begun", ""), "machines": file.get("machines", [])}

    def _tell(self, told: Mapping[str, Any]) -> None:
        write_text(self.folder / "run.json", _text({**self.run.to_json(), **told}))

    def record(self, key: str) -> dict[str, Any] | None:
        """A unit's record, None where it is not finished. Raises WorkError where it or a picture was changed."""
        file = self.folder / f"{key}.json"
        if not file.exists():
            return None
        found = _read(file)
        if found is None or (found.get("run"), found.get("key")) != (self.run.digest, key):
            raise WorkError(f"{file}: is no unit of this run; remove it and verify again")
        try:
            whole = found.get("sha256") == _sealed(found) and found["digests"].keys() == set(_pictures(found))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):  # whoever wrote it
            whole = False
        if not whole:
            raise WorkError(f"{file}: is no unit of this run as it was measured: it was changed since; {_again(file)}")
        for name, digest in found["digests"].items():
            picture = self.folder / name
            if not _inside_of(self.folder, name):
                raise WorkError(f"{file}: names a picture outside of its folder, {name[:80]!r}; {_again(file)}")
            if not picture.is_file():
                raise WorkError(f"{picture}: a picture of this run is missing; {_again(file)}")
            if sha256(picture) != digest:
                raise WorkError(f"{picture}: is not the picture that was drawn: it was changed since; {_again(file)}")
        return found

    def finish(self, key: str, record: Mapping[str, Any]) -> None:
        pictures = {name: sha256(self.folder / name) for name in _pictures(record)}
        whole = {"run": self.run.digest, "key": key, "digests": pictures, **record}
        write_text(self.folder / f"{key}.json", _text({**whole, "sha256": _sealed(whole)}))

    def records(self) -> dict[str, dict[str, Any]]:
        """Every unit's record, in the run's order. Raises WorkError naming what is missing or was changed."""
        found = {key: self.record(key) for key in self.run.units}
        missing = [key for key, record in found.items() if record is None]
        if missing:
            raise WorkError(f"{self.folder}: {len(missing)} of {len(found)} units are missing: {few(missing)}")
        return {key: record for key, record in found.items() if record is not None}


def seal(records: Mapping[str, Mapping[str, Any]]) -> str:
    """One sha256 for all that a run's records say, their pictures included; not for what it cost to find out."""
    return hashlib.sha256(_text(measured(records)).encode()).hexdigest()


def runs(root: Path) -> list[Path]:
    """The folders of all runs in a work folder."""
    return sorted(file.parent for file in root.glob("*/run.json"))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out of what is read in a folder to be written there again, for the length of the block."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(root: Path, run: Run) -> Iterator[None]:
    """Keep every other run out of a work folder for the length of the block; processes of the same run may come in.

    Raises WorkError, at once, where another run is at work.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("a+", encoding="utf-8") as file:
        try:
            _enter(file, root, run)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


def _enter(file: Any, root: Path, run: Run) -> None:
    """Take the lock: who has it to himself writes down his run, and all who share it are of the run that it names."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(run.digest)
            file.flush()
        except BlockingIOError:
            pass
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > until:
                raise WorkError(f"{root}: another `tracec verify` is at work here; wait for it to end") from None
            time.sleep(0.05)
    file.seek(0)
    other = file.read()
    if other != run.digest:
        differ = ""
        with suppress(WorkError):  # it may be just beginning
            there = opened(root / other[:16]).run
            differ = f" with other settings ({_differing(run.to_json(), there.to_json())} differ)"
        raise WorkError(f"{root}: another `tracec verify` is at work here{differ}; wait for it to end, or copy OUT")


def opened(folder: Path) -> Work:
    """The folder of a run that was begun. Raises WorkError."""
    data = _read(folder / "run.json")
    try:
        if data is not None:
            work = Work(folder, Run.from_json(data))
            told, facts = work._told(), work.run.facts
            if isinstance(told["begun"], str) and _are_tables(facts, *told["machines"]) and work.run.digest:
                return work
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        pass
    raise WorkError(f"{folder}: holds no run of `tracec verify`; pass a report/work folder of this OUT")


def gather(root: Path, shards: Sequence[Path], fits: Callable[[Run], None] = lambda run: None) -> Work:
    """All shards' units of one run in the work folder `root`: of the run that the shards are of, else of its latest.

    Raises what `fits` does for a run that is none of this OUT's, and WorkError for a shard of another run, and for a
    file that is no unit of this one; nothing is copied then.
    """
    folders = list(dict.fromkeys(_inside(shard) for shard in shards))
    own = latest(root)
    if own is not None and not any(folder.resolve().parent == root.resolve() for folder in folders):
        folders = list(dict.fromkeys([own, *folders]))
    works = [opened(folder) for folder in folders]
    if not works:
        raise WorkError(f"{root}: nothing was verified yet; run `tracec verify` first, with or without --shard")
    run = works[0].run
    fits(run)
    have: dict[str, tuple[Work, dict[str, Any]]] = {}
    for one in works:
        if one.run.digest != run.digest:
            what = _differing(run.to_json(), one.run.to_json())
            raise WorkError(f"{one.folder}: is of another run than {works[0].folder} ({what} differ); verify it again")
        for file in sorted(one.folder.glob("*.json")):
            if file.name == "run.json":
                continue
            record = one.record(file.stem) if file.stem in run.units else None
            if record is None:
                raise WorkError(f"{file}: is no unit of this run; remove it or verify its shard again")
            have.setdefault(file.stem, (one, record))
    work = Work(root / run.folder, run)
    lost = [key for key in run.units if key not in have]
    if lost:
        n = len(run.units)
        raise WorkError(f"{work.folder}: {len(lost)} of {n} units are missing: {few(lost)}; verify their shard")
    work.begin(min((date for one in works if (date := one.begun)), default=""))
    for machine in (machine for one in works for machine in one.machines):
        work.note(machine)
    for key, (one, record) in have.items():
        if one.folder.resolve() != work.folder.resolve() and not (work.folder / f"{key}.json").exists():
            for name, digest in record["digests"].items():
                (work.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(one.folder / name, work.folder / name)
                if sha256(work.folder / name) != digest:
                    raise WorkError(f"{one.folder / name}: was written to since this command began; run it again")
            write_text(work.folder / f"{key}.json", _text(record))
    return work


def latest(root: Path) -> Path | None:
    """The folder of the run that began last, None where there is none. Raises WorkError where nobody can tell."""
    found = runs(root)
    try:
        name = (root / LATEST).read_text("utf-8", "replace").strip()
    except OSError:
        name = ""
    chosen = [folder for folder in found if folder.name == name] or found
    if len(chosen) > 1:
        raise WorkError(f"{root}: holds {len(found)} runs; pass the folder of one: {few([str(f) for f in found])}")
    return chosen[0] if chosen else None


def _inside(shard: Path) -> Path:
    """The run's folder that a path means: itself, or the latest of a work folder, an OUT or a report."""
    for folder in (shard, shard / "work", shard / "report" / "work"):
        if (folder / "run.json").is_file():
            return folder
        if (found := latest(folder)) is not None:
            return found
    raise WorkError(f"{shard}: holds no run of `tracec verify`; pass a report/work folder of this OUT")


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    facts = [key for key in one["facts"] if one["facts"][key] != other["facts"].get(key)]
    return ", ".join(facts or [key for key in one if one[key] != other.get(key)])


def _again(unit: Path) -> str:
    return f"remove {unit} and verify again"


def _pictures(record: object) -> Iterator[str]:
    """The pictures that a record names, wherever in it."""
    if isinstance(record, Mapping):
        yield from record.get("files") or ()
        for value in record.values():
            yield from _pictures(value)
    elif isinstance(record, list | tuple):
        for value in record:
            yield from _pictures(value)


def _inside_of(folder: Path, name: str) -> bool:
    """Does a picture's name lead to what lies in the folder, links followed?"""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        return False
    return (folder / name).resolve().is_relative_to(folder.resolve())


def _are_tables(*values: object) -> bool:
    return all(isinstance(one, Mapping) for one in values)


def measured(value: object) -> object:
    """What a record says, without what it cost to find out."""
    if isinstance(value, Mapping):
        return {key: measured(one) for key, one in value.items() if key not in COST}
    return [measured(one) for one in value] if isinstance(value, list | tuple) else value


def _sealed(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text({key: record[key] for key in record if key != "sha256"}).encode()).hexdigest()


def _read(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _text(data: object) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
