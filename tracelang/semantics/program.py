"""The program: a recipe with every name resolved and every default in place, spans kept for messages.

A concept is known by its key: the name of a declared concept, or the quoted text of an implicit one, quotes included.
"""

from __future__ import annotations

from typing import Literal

from tracelang.diagnostics.source import Span
from tracelang.records import dataclass, field

Key = str
Member = tuple[Key, ...]
"""One member of a set: one concept, or several that are meant together (`A & B`)."""


@dataclass(frozen=True, slots=True)
class Concept:
    key: Key
    kind: str
    names: tuple[str, ...]
    probes: tuple[str, ...]
    templates: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Window:
    """low < high, in `unit`: progress (0..1), sigma, logsnr or t. `span` is where a setting gives it, if one does."""

    unit: str
    low: float
    high: float
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sites:
    """A layer set without names: `word` is the role, the reading or the glob; the rest combine their members.

    `size` counts the parts written out, `depth` how deep they nest.
    """

    kind: Literal["reads", "role", "glob", "in", "difference", "union"]
    word: str = ""
    members: tuple[Sites, ...] = ()
    places: tuple[str, ...] = ()
    size: int = field(default=1, compare=False)
    depth: int = field(default=1, compare=False)


Setting = str | int | float | None | Window | Sites


@dataclass(frozen=True, slots=True)
class Erasure:
    targets: Member
    anchor: Member | None
    away: bool
    degree: float
    span: Span


@dataclass(frozen=True, slots=True)
class Preservation:
    concepts: Member
    weight: float
    span: Span


@dataclass(frozen=True, slots=True)
class Term:
    kind: str
    label: str
    settings: dict[str, Setting]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Pass:
    kind: str
    label: str
    settings: dict[str, Setting]
    terms: tuple[Term, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    metric: str
    concepts: tuple[Member, ...]
    attack: str | None
    comparison: str
    bound: float
    samples: int
    seed: int
    span: Span


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read: its path below the recipe root, the sha256 of its bytes, and what it was.

    The compiler's own library is called `std/`. A file that is both imported and included counts as included.
    """

    path: str
    sha256: str
    role: Literal["recipe", "include", "import", "list"]


@dataclass(frozen=True, slots=True)
class Program:
    header: dict[str, str | tuple[str, ...]]
    concepts: dict[Key, Concept]
    erase: tuple[Erasure, ...]
    preserve: tuple[Preservation, ...]
    method: Method
    expect: tuple[Assertion, ...]
    files: tuple[File, ...]
