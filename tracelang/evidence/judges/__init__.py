"""Judges: what looks at a picture and says what it shows. Plugins of the entry point group `tracelang.judges`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from torch import Tensor

from tracelang.evidence.judges.kit import Extractor
from tracelang.evidence.schema import JudgeCard
from tracelang.semantics.tables import Kind as Kind


@dataclass(frozen=True, slots=True)
class Class:
    """A judge's class: the `label` under which its `head` reports a concept."""

    head: str
    label: str


Labels = str | tuple[str, ...]


def named(labels: Labels) -> tuple[str, ...]:
    """Everything that a head reports."""
    return (labels,) if isinstance(labels, str) else labels


@dataclass(frozen=True, slots=True)
class Answer:
    """One picture: the label of each head (`{"concept": "dog", "style": "noto"}`), and where the judge gives them the
    probabilities of a head's labels. A head that names several things gives all that it sees: `("cat", "dog")`, or
    nothing: `()`.
    """

    labels: Mapping[str, Labels]
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Asked(Protocol):
    """A concept that a judge may be asked for: its words, the canonical one first. `plan.types.Concept` is one."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def kind(self) -> Kind: ...


class Judge(Protocol):
    """Looks at pictures. Any exception is the caller's to record; a judge never guesses in place of failing.

    Its card's classes name every label that it may give, as `label` or `head: label`; any other is an error.
    What it may be able to do besides are the protocols below: `Prepared`, `Several`, `Worldly`, `Matching`, `Scoring`,
    `Featured`.
    """

    card: JudgeCard

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        """The class that the words of a concept, its canonical one first, mean by name or alias; None: none fits."""
        ...

    def subject(self, answer: Answer) -> bool | None:
        """Does the picture show any recognisable thing at all? None where this judge cannot tell."""
        ...

    def look(self, images: Tensor) -> Sequence[Answer]:
        """What images `[n, 3, H, W]` in 0..1 show. Raises ValueError on pixels that are not finite."""
        ...


# What a judge may be able to do besides: each ability is a method, and whoever has it is asked.


@runtime_checkable
class Prepared(Protocol):
    """A judge whose classes are the recipe's own concepts."""

    def prepare(self, concepts: Sequence[Asked]) -> None:
        """Called once, before anything else is asked; its card is whole only then."""
        ...


@runtime_checkable
class Several(Protocol):
    """A judge that can see two things in one picture: only it is asked whether `A & B` is shown."""

    def several(self) -> Collection[str]:
        """The heads that name everything there is. Any other head names one thing a picture."""
        ...


@runtime_checkable
class Worldly(Judge, Protocol):
    """A judge that knows all that its model was trained to draw."""

    def world(self) -> Sequence[tuple[str, Class]]:
        """A plain prompt for everything there is, and the class that its picture should show."""
        ...


@runtime_checkable
class Matching(Judge, Protocol):
    """A judge that can tell which of some texts a picture fits best."""

    def nearest(self, images: Tensor, texts: Sequence[str]) -> Sequence[int]: ...


@runtime_checkable
class Scoring(Protocol):
    """A judge that can tell how well a picture fits its prompt."""

    def scores(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """A score of each picture, `[n]`."""
        ...


@runtime_checkable
class Featured(Protocol):
    """A judge that gives features of pictures, for distances between sets of them."""

    def extractor(self) -> Extractor: ...


def several(judge: Judge) -> Collection[str]:
    """The heads of a judge that name everything there is."""
    return judge.several() if isinstance(judge, Several) else ()


def load(spec: str) -> Judge:
    """The judge `NAME`, or `NAME=VALUE` for one that needs to be told a folder or a file (`clip=./clip-vit-base`).

    Raises LookupError naming the judges there are, and what the judge itself raises for its value.
    """
    name, has_value, value = spec.partition("=")
    found = {entry.name: entry for entry in entry_points(group="tracelang.judges")}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise LookupError(f"no judge {name!r}; known: {known}")
    judge: Judge = found[name].load()(*([value] if has_value else []))
    return judge
