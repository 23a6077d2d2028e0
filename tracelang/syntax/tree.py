"""The tree of a recipe: what was written, with spans, before any name has a meaning.

Spans take no part in comparison: two trees are equal when the same was said.
"""

from __future__ import annotations

from typing import Literal

from tracelang.diagnostics.source import Source, Span
from tracelang.records import dataclass, field

LANGUAGE_VERSION: Literal[1] = 1


@dataclass(slots=True)
class Token:
    """A piece of text that the grammar knows, and where it stands."""

    type: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Node:
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Name(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A quoted text with its escapes resolved, NFC."""

    value: str


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number as written, with or without a percent sign."""

    text: str
    percent: bool


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """`name` or `name.name`."""

    parts: tuple[Name, ...]

    @property
    def text(self) -> str:
        return ".".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Where(Node):
    """Which rows of a CSV count: those with this text in that column."""

    column: Text
    value: Text


@dataclass(frozen=True, slots=True)
class ListFile(Node):
    path: Text
    column: Text | None
    where: Where | None = None


# Sets


@dataclass(frozen=True, slots=True)
class Union(Node):
    members: tuple[Set, ...]


@dataclass(frozen=True, slots=True)
class Conjunction(Node):
    members: tuple[Set, ...]


@dataclass(frozen=True, slots=True)
class Except(Node):
    """`first except second except third`: everything after the first is taken away."""

    members: tuple[Set, ...]


@dataclass(frozen=True, slots=True)
class Parentheses(Node):
    inner: Set


Set = Text | ListFile | Reference | Union | Conjunction | Except | Parentheses


# Windows and layers


@dataclass(frozen=True, slots=True)
class Range(Node):
    unit: Name | None
    low: Number
    high: Number


@dataclass(frozen=True, slots=True)
class Auto(Node):
    """`auto 30%`: chosen from the model."""

    share: Number


@dataclass(frozen=True, slots=True)
class Before(Node):
    """`0%..late`: from a progress to where a window begins."""

    low: Number
    window: Auto | Reference


@dataclass(frozen=True, slots=True)
class Glob(Node):
    pattern: Text


@dataclass(frozen=True, slots=True)
class SitesIn(Node):
    of: Sites
    places: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class SitesDifference(Node):
    """`first - second - third`."""

    members: tuple[Sites, ...]


@dataclass(frozen=True, slots=True)
class SitesUnion(Node):
    members: tuple[Sites, ...]


@dataclass(frozen=True, slots=True)
class SitesParentheses(Node):
    inner: Sites


Sites = Reference | Glob | SitesIn | SitesDifference | SitesUnion | SitesParentheses

Scalar = Number | Reference
WindowValue = Range | Auto | Before | Reference
Value = Text | Number | WindowValue | SitesParentheses


# Blocks


@dataclass(frozen=True, slots=True)
class Setting(Node):
    address: tuple[Name, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Block(Node):
    """A pass or a term: `name as label on sites during window { … }`."""

    name: Name
    label: Name | None
    on: Sites | None
    during: WindowValue | None
    body: Body


@dataclass(frozen=True, slots=True)
class Body(Node):
    items: tuple[Setting | Block, ...]


# Statements


@dataclass(frozen=True, slots=True)
class Version(Node):
    number: Number


@dataclass(frozen=True, slots=True)
class Recipe(Node):
    name: Text
    body: Body


@dataclass(frozen=True, slots=True)
class Import(Node):
    path: Text
    alias: Name


@dataclass(frozen=True, slots=True)
class FromImport(Node):
    path: Text
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Include(Node):
    path: Text


@dataclass(frozen=True, slots=True)
class Param(Node):
    name: Name
    value: Number
    range: Range


Words = tuple[Text | ListFile | Reference, ...]


@dataclass(frozen=True, slots=True)
class Templates(Node):
    name: Name
    items: Words


@dataclass(frozen=True, slots=True)
class Entry(Node):
    """A line of a concept: `field` is names, probes or templates."""

    field: str
    items: Words


@dataclass(frozen=True, slots=True)
class Concept(Node):
    """A concept under a name, or under the quoted text that stands for it."""

    name: Name | Text
    kind: Name | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Group(Node):
    name: Name
    set: Set


@dataclass(frozen=True, slots=True)
class Window(Node):
    name: Name
    value: WindowValue


@dataclass(frozen=True, slots=True)
class Layers(Node):
    name: Name
    sites: Sites


@dataclass(frozen=True, slots=True)
class Toward(Node):
    set: Set


@dataclass(frozen=True, slots=True)
class Away(Node):
    pass


@dataclass(frozen=True, slots=True)
class Degree(Node):
    value: Scalar


@dataclass(frozen=True, slots=True)
class Erase(Node):
    set: Set
    modifiers: tuple[Toward | Away | Degree, ...]


@dataclass(frozen=True, slots=True)
class Weight(Node):
    value: Scalar


@dataclass(frozen=True, slots=True)
class Prior(Node):
    """`prior "…", list "…"`: given prompts. The vocabulary's prior is the name `prior` alone, a `Reference`."""

    items: tuple[Text | ListFile, ...]


@dataclass(frozen=True, slots=True)
class Preserve(Node):
    set: Set | Prior
    weight: Weight | None
    body: Body | None


@dataclass(frozen=True, slots=True)
class Method(Node):
    name: Reference
    body: Body | None


@dataclass(frozen=True, slots=True)
class Define(Node):
    name: Name
    base: Reference | None
    body: Body | None


@dataclass(frozen=True, slots=True)
class Control(Node):
    """`control never = "…", "…"`, or `control random` without a model."""

    kind: Name
    models: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Samples(Node):
    number: Number


@dataclass(frozen=True, slots=True)
class Seed(Node):
    number: Number


@dataclass(frozen=True, slots=True)
class Suite(Node):
    """`on suite "path" as hub`: prompts of a published suite, from a copy of the recipe's own, and who reads them."""

    path: Text
    reader: Name


@dataclass(frozen=True, slots=True)
class After(Node):
    """`after round int8`, `after merge 50%`: what is done to the edited weights first."""

    how: Name
    value: Scalar


@dataclass(frozen=True, slots=True)
class Assertion(Node):
    metric: Name
    arguments: Set
    suite: Suite | None
    after: After | None
    comparison: str
    bound: Scalar


@dataclass(frozen=True, slots=True)
class Expect(Node):
    options: tuple[Samples | Seed, ...]
    assertions: tuple[Assertion, ...]


Statement = (
    Version
    | Recipe
    | Import
    | FromImport
    | Include
    | Param
    | Templates
    | Concept
    | Group
    | Window
    | Layers
    | Erase
    | Preserve
    | Method
    | Define
    | Control
    | Expect
)


@dataclass(frozen=True, slots=True)
class Comment(Node):
    """From `#` to the end of its line."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken(Node):
    """A stretch that could not be read, and what can be told of it: it holds one statement, seldom more.

    `starts` are the keywords that begin a statement there, none where that is what cannot be told. `defines` are the
    names that it was to define, `words` all its names and texts. `lost`: some of these cannot be read.
    """

    starts: frozenset[str]
    defines: frozenset[str]
    words: frozenset[str]
    lost: bool


@dataclass(frozen=True, slots=True)
class File:
    """Everything in one source, comments too, in order; and what of it is no statement, where there are errors."""

    source: Source = field(compare=False, repr=False)
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...]
    broken: tuple[Broken, ...] = ()
