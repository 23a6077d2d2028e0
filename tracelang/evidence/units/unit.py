"""What every kind of work is made of: what is wanted, a unit of it, and the record that a unit leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel
from torch import Tensor

from tracelang.evidence.bench import Bench, keep
from tracelang.evidence.everyday import Everyday
from tracelang.evidence.pictures import Row, Sample, rows
from tracelang.evidence.schema import Frozen
from tracelang.plan.types import Member, Plan


@dataclass(frozen=True)
class Wanted:
    """All that is to be measured of a plan. `judged` are the members that a judge knows, `attacks` those there are,
    `samples` the pictures of each concept and attack of which the recipe expects nothing: without any, only what it
    expects, and the certificate and the `everyday` panel, which are never left out.
    """

    plan: Plan
    judged: Mapping[Member, object]
    attacks: tuple[str, ...]
    samples: int
    everyday: Everyday

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return rows(self.plan, self.judged, self.samples)


class Record(Frozen):
    """What a finished unit says. Its file holds what was set, and nothing that was left at its default."""

    kind: str = ""
    seconds: float = 0.0
    memory: int = 0
    """Bytes, the most that was held at once up to then."""
    pictures: int = 0
    """How many were drawn."""
    errors: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed in it, a line each, as far as no picture or attack carries it."""
        return self.errors

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


R = TypeVar("R", bound=Record)


def select(records: Mapping[str, Record], kind: type[R]) -> dict[str, R]:
    """The records of one kind, by their units' keys."""
    return {key: record for key, record in records.items() if isinstance(record, kind)}


class SampleRow(Frozen):
    """A line of a record: a sample, and what came of it."""

    prompt: str
    seed: int

    @property
    def sample(self) -> Sample:
        return Sample(self.prompt, self.seed)


@dataclass(frozen=True)
class Unit(ABC):
    """A piece of work: done as a whole or not at all. It does not know how many machines share the work, so the
    pictures of one batch, and with them every last bit of the results, do not depend on it either.
    """

    key: str
    kind: ClassVar[str]
    title: ClassVar[str]
    """How its progress is told."""
    record: ClassVar[type[Record]]

    @classmethod
    @abstractmethod
    def wanted(cls, wanted: Wanted) -> Iterable[Unit]:
        """Every unit of this kind, in a fixed order. Raises EvidenceError where one would draw what is protected."""

    @abstractmethod
    def done(self, bench: Bench, folder: Path) -> Record:
        """Do it; pictures that are kept go into `folder`. A measurement that fails leaves its error in the record."""


def kept(folder: Path, name: str, base: Tensor, after: Tensor) -> tuple[str, str]:
    """Keep a pair of pictures for the report: their files."""
    return keep(folder, f"{name}-base", base), keep(folder, f"{name}-after", after)


def whole(figures: BaseModel) -> dict[str, Any]:
    """Every field of a part of the report, those at their default too."""
    return figures.model_dump(mode="json")
