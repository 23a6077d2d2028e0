"""Kinds of work, a file and a row each: which units a plan needs, how one is done, and the record that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.bench import Record, Unit, Wanted
from tracelang.evidence.pictures import drawable, roles
from tracelang.evidence.units.after import AfterAttackUnit, AfterUnit
from tracelang.evidence.units.attack import AttackUnit
from tracelang.evidence.units.certificate import CertificateUnit
from tracelang.evidence.units.control import ControlUnit
from tracelang.evidence.units.degree import DegreeUnit
from tracelang.evidence.units.drift import DriftUnit
from tracelang.evidence.units.everyday import EverydayUnit
from tracelang.evidence.units.floor import FloorUnit
from tracelang.evidence.units.noise import NoiseUnit
from tracelang.evidence.units.relearn import RelearnUnit, ShamUnit
from tracelang.evidence.units.rounding import RoundingUnit
from tracelang.evidence.units.shots import ShotsUnit
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse

KINDS: dict[str, type[Unit]] = {
    kind.kind: kind
    for kind in (
        CertificateUnit,
        RoundingUnit,
        NoiseUnit,
        ShotsUnit,
        DegreeUnit,
        AfterUnit,
        AttackUnit,
        AfterAttackUnit,
        DriftUnit,
        EverydayUnit,
        FloorUnit,
        ControlUnit,
        ShamUnit,
        RelearnUnit,
    )
}
"""In the order in which they are done."""


def units(wanted: Wanted) -> tuple[Unit, ...]:
    """All work, in a fixed order, in which each control is loaded once.

    Raises EvidenceError where a prompt of another concept speaks of a protected one.
    """
    plan = wanted.plan
    asserted = [member for one in plan.expect for member in one.concepts]
    for member in dict.fromkeys((*roles(plan), *asserted)):
        if drawable(plan, member):
            refuse(plan, [prompt.text for prompt in edit_prompts(plan, member)], EvidenceError)
    every = [unit for kind in KINDS.values() for unit in kind.wanted(wanted)]
    return tuple(unit for control in ("", *wanted.controls) for unit in every if unit.control == control)


def share(every: Sequence[Unit], shard: tuple[int, int] | None) -> tuple[Unit, ...]:
    """The units of shard `i` of `n`, counted from 1; all of them without a shard."""
    if shard is None:
        return tuple(every)
    i, n = shard
    return tuple(unit for k, unit in enumerate(every) if k % n == i - 1)


def read(file: Mapping[str, Any]) -> Record:
    """The record in a unit's file, without what says whose it is."""
    said = {name: value for name, value in file.items() if name not in ("run", "key", "digests", "sha256")}
    return KINDS[file["kind"]].record.model_validate(said)
