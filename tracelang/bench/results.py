"""The results of a suite: a small JSON file a cell, with its figures and counts; no picture, prompt or weight.

Whoever reads them trusts no file: what is none of this form is refused by its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from tracelang.evidence.schema import Bound, Count, Frozen, Harmonic, Reading, Residue, Verdict
from tracelang.files import write_text
from tracelang.plan.types import Member

MAX_BYTES = 1 << 22


class ResultError(Exception):
    """A result file that is none. `str()` is one line."""


class Pictures(Frozen):
    """The pictures of one member by its `names`, its `probes` or a `suite`: a character each, in the order of prompts
    and seeds, which every cell of the task shares. `base`, `after`: 1 shows it, 0 does not, x nobody can tell, since
    the judge failed or none knows it; `things`: any recognisable thing after the edit, - where nobody can tell.
    `other`: the recipe neither erases nor preserves it. `chance`: the mean probability of its class after the edit,
    `clip` the mean scores before and after, each where a judge gives it.
    """

    member: Member
    how: Literal["names", "probes", "suite"]
    role: Literal["erased", "preserved", "other"]
    base: str
    after: str
    things: str = ""
    chance: float | None = None
    clip: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one_mark_a_picture(self) -> Pictures:
        for marks, known in ((self.base, "01x"), (self.after, "01x"), (self.things or self.base, "01x-")):
            if len(marks) != len(self.base) or set(marks) - set(known):
                raise ValueError("its pictures have other marks")
        return self


class AttackFigure(Frozen):
    """An attack against the edited model itself: pictures that show it, of `n`; `held_out`: not trained against."""

    member: Member
    attack: str
    hits: Count
    n: Count
    held_out: bool
    seconds: float
    error: str = ""


Share = tuple[Count, Count]
"""Pictures that show it, of how many."""


class Beyond(Frozen):
    """What a probe shows more than models that never knew it, with its interval; `why` it is open. `base`, `edited`,
    `never` (each model that never knew it) and `random` (one that has learned nothing) are what it shows of each.
    `valid`: it brings nothing along by itself; `powered`: it could have told.
    """

    member: Member
    how: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Residue
    why: str = ""
    base: Share | None = None
    edited: Share | None = None
    never: tuple[Share, ...] = ()
    random: Share | None = None
    valid: bool | None = None
    powered: bool | None = None


class HalfLife(Frozen):
    """Training steps after which half of what the base shows is back, with their interval over pictures; `reached`: or
    it was not within so many. An end that nothing bounds is None.
    """

    steps: float
    low: float | None = None
    high: float | None = None
    reached: bool = True


class Learnt(Frozen):
    """How fast each model learns it again: half-lives by model (`base`, `edited`, `never-1`, …), the edited one's over
    that of those that never knew it with its interval, a `bound` where one was not reached; `sham`: the same of what no
    model ever saw. `reading`: what follows, and `why`.
    """

    member: Member
    models: dict[str, HalfLife] = {}
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    bound: Bound | None = None
    sham: float | None = None
    reading: Reading
    why: str = ""


class Spent(Frozen):
    """What the edit took: rows through the denoiser as the plan counts them, seconds of its process or of the GPU,
    those of trajectories that another cell had recorded included (None where it was interrupted and went on), peak
    bytes of its own process or of the GPU, and bytes of the change as a delta. `verify`: seconds of work of each kind,
    and `drawn` pictures: without what another cell of the task drew.
    """

    frozen: Count
    trained: Count
    seconds: float | None
    memory: Count
    delta: Count
    device: str
    verify: dict[str, float] = {}
    drawn: Count = 0


class Found(Frozen):
    """What verification says of a cell."""

    pictures: tuple[Pictures, ...]
    attacks: tuple[AttackFigure, ...] = ()
    beyond: tuple[Beyond, ...] = ()
    learnt: tuple[Learnt, ...] = ()
    harmonics: tuple[Harmonic, ...] = ()
    fid: float | None = None
    kid: float | None = None
    verdict: Verdict
    integrity: Verdict | None = None
    judges: dict[str, str] = {}
    errors: tuple[str, ...] = ()


class Outcome(Frozen):
    """What a cell's process leaves: figures, or a `refusal` in one line."""

    refusal: str = ""
    found: Found | None = None
    spent: Spent | None = None


class Result(Frozen):
    """The file of a cell. `facts` are what its key is made of; the others say which cell it is, in words."""

    format_version: Literal[1] = 1
    key: str
    facts: dict[str, int | str | list[str]]
    task: str
    method: str
    model: str
    seed: int | None
    steps: int | None
    outcome: Outcome


def key_of(facts: Mapping[str, object]) -> str:
    """What a cell with these facts is called."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def held(folder: Path, keys: Iterable[str]) -> dict[str, Result]:
    """The results that are there, by key. Raises ResultError for a file that is none."""
    found = {}
    for key in dict.fromkeys(keys):
        file = folder / f"{key}.json"
        if not file.is_file():
            continue
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ValueError("it is too large")
            result = Result.model_validate_json(file.read_bytes())
            if not result.key == key == key_of(result.facts):
                raise ValueError("it is of another cell")
        except (ValidationError, ValueError, RecursionError) as error:
            why = str(error).partition("\n")[0][:160]
            raise ResultError(f"{file}: is no result of `tracec bench` ({why}); remove it and run again") from error
        found[key] = result
    return found


def keep(folder: Path, result: Result) -> None:
    """Write a result, whole or not at all."""
    write_text(folder / f"{result.key}.json", result.model_dump_json(exclude_defaults=True) + "\n")
