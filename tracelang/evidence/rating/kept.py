"""The pictures of plain prompts that a run kept, what the recipe asks of them, and what its judges said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracelang.evidence.artifact import Artifact
from tracelang.evidence.judges import Class
from tracelang.evidence.rating.errors import RatingError
from tracelang.evidence.rating.key import Asked
from tracelang.evidence.units import read
from tracelang.evidence.units.shots import ShotsRecord
from tracelang.evidence.work import Run, Work
from tracelang.plan.types import Plan

NONE, AND = "none", "+"
"""What a rater writes of a picture with none of the concepts in it, and between several."""
SENSITIVE = {"explicit", "protected"}
Side = Literal["base", "after"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kept picture stands: in which row of which unit, and of which model it is."""

    unit: str
    row: int
    side: Side


def places(artifact: Artifact, work: Work) -> dict[Place, Path]:
    """Every picture of plain prompts with its file, in the run's order.

    Raises RatingError where the run kept only some: those were picked by what judges saw in them, and what is measured
    on such a choice is true of no other pictures. WorkError where one was changed.
    """
    found: dict[Place, Path] = {}
    pairs = 0
    for key, record in shots(work).items():
        for i, row in enumerate(record.rows):
            pairs += 1
            if row.files:
                found |= {
                    Place(key, i, "base"): work.folder / row.files[0],
                    Place(key, i, "after"): work.folder / row.files[1],
                }
    if len(found) < 2 * pairs or not found:
        raise RatingError(
            f"{artifact.out}: its run kept {len(found):,} of {2 * pairs:,} pictures of plain prompts, picked by what "
            f"judges saw; run: tracec verify {artifact.out} --keep all, with the options of that run"
        )
    return found


def shots(work: Work) -> dict[str, ShotsRecord]:
    """The records of plain prompts' pictures by their units. Raises WorkError."""
    found = {key: read(record) for key, record in work.records().items()}
    return {key: record for key, record in found.items() if isinstance(record, ShotsRecord)}


def asked(plan: Plan, run: Run) -> tuple[Asked, ...]:
    """The concepts that a judge of the run knows, in the plan's order; never a protected one. The word for each is
    its first name, where no other has that and a rater can write it.
    """
    known = {concept for classes in sought(run).values() for concept in classes}
    concepts = [one for one in plan.concepts if one.name in known and one.kind != "protected"]
    first = {one.name: " ".join(one.names[0].split()) for one in concepts}
    times = Counter(word.casefold() for word in first.values())
    taken = {one.name.casefold() for one in concepts}

    def word(name: str) -> str:
        plain = first[name]
        other = plain.casefold() in taken - {name.casefold()}
        usable = plain.isprintable() and AND not in plain and plain.casefold() not in ("", NONE)
        return plain if usable and times[plain.casefold()] == 1 and not other else name

    return tuple(Asked(concept=one.name, word=word(one.name)) for one in concepts)


def sought(run: Run) -> Mapping[str, Mapping[str, Class]]:
    """By judge, the class under which it looks for each concept."""
    found: dict[str, dict[str, Class]] = {}
    for member, some in run.classes.items():
        for concept, one in zip(member, some, strict=True):
            found.setdefault(one.judge, {})[concept] = one.found
    for member, some in run.also.items():
        for one in some:
            found.setdefault(one.judge, {})[member[0]] = one.found
    return found


def sensitive(plan: Plan) -> bool:
    """May a picture be one that nobody should meet unwarned?"""
    return any(concept.kind in SENSITIVE for concept in plan.concepts)
