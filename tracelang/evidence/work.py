"""The work folder: each finished unit is a file that appears whole or not at all, so that a run may stop anywhere.

`run.json` says what all of them belong to. Its digest covers everything the results depend on (plan, weights, judges,
sampler, precision, torch), so a unit of another run is never taken for one of this.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracelang.evidence.files import put
from tracelang.evidence.judges import Class
from tracelang.evidence.panel import Panel, Sought
from tracelang.evidence.report import JudgeCard
from tracelang.plan.types import Member


class WorkError(Exception):
    """Finished work that is not there or does not belong here. `str()` is one line."""


@dataclass(frozen=True, slots=True)
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

    @property
    def digest(self) -> str:
        return hashlib.sha256(_text(self.to_json()).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "facts": dict(self.facts),
            "units": list(self.units),
            "judges": [card.model_dump(mode="json") for card in self.cards],
            "classes": [
                [member, [[one.judge, one.found.head, one.found.label] for one in sought]]
                for member, sought in self.classes.items()
            ],
            "unknown": [[member, why] for member, why in self.unknown.items()],
            "notes": list(self.notes),
            "attacks": dict(self.attacks),
        }

    @staticmethod
    def of(panel: Panel, facts: Mapping[str, Any], units: Sequence[str], attacks: Mapping[str, str]) -> Run:
        cards = tuple(judge.card for judge in panel.judges)
        return Run(facts, tuple(units), cards, panel.classes, panel.unknown, panel.notes, attacks)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Run:
        return Run(
            data["facts"],
            tuple(data["units"]),
            tuple(JudgeCard.model_validate(card) for card in data["judges"]),
            {tuple(m): tuple(Sought(j, Class(h, label)) for j, h, label in some) for m, some in data["classes"]},
            {tuple(member): why for member, why in data["unknown"]},
            tuple(data["notes"]),
            data["attacks"],
        )


@dataclass(frozen=True, slots=True)
class Work:
    """The folder `OUT/report/work` of one run."""

    folder: Path
    run: Run

    def begin(self) -> None:
        """Make the folder this run's: units that another run left are removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        digest = self.run.digest
        for file in self.folder.glob("*.json"):
            if file.name != "run.json" and _stated(file) != digest:
                file.unlink(missing_ok=True)  # another shard may be beginning, too
                shutil.rmtree(file.with_suffix(""), ignore_errors=True)
        put(self.folder / "run.json", _text(self.run.to_json()))

    def record(self, key: str) -> dict[str, Any] | None:
        """A finished unit's record, None where it is not finished or belongs to another run."""
        found = _read(self.folder / f"{key}.json")
        return found if found is not None and found.get("run") == self.run.digest else None

    def finish(self, key: str, record: Mapping[str, Any]) -> None:
        put(self.folder / f"{key}.json", _text({"run": self.run.digest, "key": key, **record}))

    def missing(self) -> list[str]:
        return [key for key in self.run.units if self.record(key) is None]

    def records(self) -> dict[str, dict[str, Any]]:
        """Every unit's record, in the run's order. Raises WorkError naming what is missing."""
        missing = self.missing()
        if missing:
            n = len(self.run.units)
            raise WorkError(f"{self.folder}: {len(missing)} of {n} units are missing: {_few(missing)}")
        return {key: record for key in self.run.units if (record := self.record(key)) is not None}


def opened(folder: Path) -> Work:
    """The work folder of a run that was begun. Raises WorkError."""
    data = _read(folder / "run.json")
    try:
        if data is not None:
            return Work(folder, Run.from_json(data))
    except (KeyError, TypeError, ValueError):
        pass
    raise WorkError(f"{folder}: holds no run of `tracec verify`; pass a report/work folder of this OUT")


def gather(target: Path, shards: Sequence[Path]) -> Work:
    """All shards' units in the folder `target`, which may be one of them.

    Raises WorkError for a shard of another run, and for a file that is no unit of this one; nothing is copied then.
    """
    sources = [folder for folder in dict.fromkeys(_inside(shard) for shard in shards) if folder != target]
    works = [opened(folder) for folder in ([target] if (target / "run.json").exists() else []) + sources]
    if not works:
        raise WorkError(f"{target}: nothing was verified yet; run `tracec verify` first, with or without --shard")
    run = works[0].run
    for one in works:
        if one.run.digest != run.digest:
            what = _differing(run.to_json(), one.run.to_json())
            raise WorkError(f"{one.folder}: is of another run than {works[0].folder} ({what} differ); verify it again")
        for file in sorted(one.folder.glob("*.json")):
            if file.name != "run.json" and (file.stem not in run.units or one.record(file.stem) is None):
                raise WorkError(f"{file}: is no unit of this run; remove it or verify its shard again")
    work = Work(target, run)
    have = {key for one in works for key in run.units if one.record(key) is not None}
    lost = [key for key in run.units if key not in have]
    if lost:
        n = len(run.units)
        raise WorkError(f"{target}: {len(lost)} of {n} units are missing: {_few(lost)}; verify their shard")
    target.mkdir(parents=True, exist_ok=True)
    for one in works:
        for key in run.units:
            if work.record(key) is None and (record := one.record(key)) is not None:
                if (one.folder / key).is_dir():
                    shutil.copytree(one.folder / key, target / key, dirs_exist_ok=True)
                put(target / f"{key}.json", _text(record))
    put(target / "run.json", _text(run.to_json()))
    return work


def _inside(shard: Path) -> Path:
    """The work folder that a path means: itself, or the one below an OUT or a report."""
    for folder in (shard, shard / "work", shard / "report" / "work"):
        if (folder / "run.json").is_file():
            return folder
    raise WorkError(f"{shard}: holds no run of `tracec verify`; pass a report/work folder of this OUT")


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    facts = [key for key in one["facts"] if one["facts"][key] != other["facts"].get(key)]
    return ", ".join(facts or [key for key in one if one[key] != other.get(key)])


def _few(keys: Sequence[str]) -> str:
    return ", ".join(keys[:5]) + (", …" if len(keys) > 5 else "")


def _stated(file: Path) -> str | None:
    found = _read(file)
    return None if found is None else found.get("run")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _text(data: object) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
