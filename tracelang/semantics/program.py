"""The program: a recipe with every name resolved and every default in place, spans kept for messages.

Passes, terms and their values are those of the plan, see `kinds` and `values`.

A concept is known by its key: the name of a declared concept, or the quoted text of an implicit one, quotes included.
"""

from __future__ import annotations

from typing import Literal

from tracelang.diagnostics.source import Span
from tracelang.records import dataclass, field
from tracelang.semantics.kinds import Pass
from tracelang.semantics.prior import Prior
from tracelang.semantics.suites.row import Row

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
class Erasure:
    targets: Member
    anchor: Member | None
    away: bool
    degree: float
    span: Span

    @property
    def way(self) -> tuple[Member | None, bool, float]:
        """What two erasures of the same targets have to agree on."""
        return self.anchor, self.away, self.degree


@dataclass(frozen=True, slots=True)
class Preservation:
    concepts: Member
    weight: float
    span: Span


@dataclass(frozen=True, slots=True)
class Held:
    """A prior, and where it is stated. `implied`: not by the recipe, but by a pass of its method."""

    prior: Prior
    span: Span
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """A named sequence of passes. `spans`: where a pass, a term or a setting was written, by its address."""

    name: str
    passes: tuple[Pass, ...]
    spans: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Control:
    """What measurements are read against: of `never` the models, names or folders, in order; `random` has none."""

    kind: str
    models: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite's file or folder below the recipe root, who reads it, and the rows that are asked, by concept."""

    path: str
    reader: str
    rows: tuple[tuple[Member, tuple[Row, ...]], ...]


@dataclass(frozen=True, slots=True)
class After:
    """What is done to the edited weights first: `round` to a number format, `merge` of a share, or an
    `adapter` at a strength."""

    how: str
    to: str
    share: float | None


@dataclass(frozen=True, slots=True)
class Assertion:
    metric: str
    concepts: tuple[Member, ...]
    attack: str | None
    suite: Suite | None
    after: After | None
    comparison: str
    bound: float
    samples: int
    seed: int
    span: Span


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read: its path below the recipe root, its bytes, and what it was.

    The compiler's own library is called `std/`. A file that is both imported and included counts as included.
    """

    path: str
    data: bytes
    role: Literal["recipe", "include", "import", "list", "suite"]

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""
        import hashlib  # brings OpenSSL, which a lint does without

        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Program:
    header: dict[str, str | tuple[str, ...]]
    concepts: dict[Key, Concept]
    erase: tuple[Erasure, ...]
    preserve: tuple[Preservation, ...]
    prior: tuple[Held, ...]
    method: Method
    controls: tuple[Control, ...]
    expect: tuple[Assertion, ...]
    files: tuple[File, ...]
