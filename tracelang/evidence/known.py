"""How often a judge is right, measured on a labelled set, as a file that `verify` takes, bound to both.

Counts, not shares, so that every rate that is corrected by it carries how well the judge is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from tracelang.evidence.bench import ask
from tracelang.evidence.judges import Class, Judge, named
from tracelang.evidence.labelled import Labelled, SetError, batches
from tracelang.evidence.panel import Sought, digest
from tracelang.evidence.schema import Accuracy, Count, Frozen, JudgeCard, Rate
from tracelang.evidence.verdicts import rate
from tracelang.files import contents, write_text
from tracelang.semantics.tables import Kind
from tracelang.text import few

LARGEST = 2**20
"""Bytes of such a file."""
Truth = Mapping[str, frozenset[str]]
"""What a picture shows, by a judge's head: all of that head's labels that it shows. Of a head that is not in it nobody
said anything.
"""


RATED = "pictures of this edit and its base, rated by"
"""How a class's `on` says that people looked at a verification's own pictures."""


class KnownError(ValueError):
    """A file of a judge's accuracy that cannot be used. `str()` is one line."""


class Known(Frozen):
    """`judge` and the sha256 of all that decides what it answers; `set` that of the set, of `pictures` pictures."""

    format_version: Literal[1] = 1
    judge: str
    digest: str
    set: str
    pictures: Count
    accuracy: tuple[Accuracy, ...] = Field(min_length=1)


def measure(judge: Judge, card: JudgeCard, labelled: Labelled, progress: Callable[[int], None] | None = None) -> Known:
    """How often the judge, whose whole `card` it is, is right on a set. Raises SetError for a label that it does not
    know, and for a picture that it fails on.
    """
    classes = {label: class_of(judge, label) for label in labelled.labels}
    lost = [label for label, found in classes.items() if found is None]
    if lost:
        raise SetError(
            *(f"{label}: the judge {card.name} has no such class; it has {few(card.classes)}" for label in lost)
        )
    sought = [found for found in dict.fromkeys(classes.values()) if found]
    heads = {found.head for found in sought}
    truths: list[Truth] = []
    for _, labels in labelled.pictures:
        own = [found for label in labels if (found := classes[label])]
        asked = {found.head for found in own} or heads
        truths.append({head: frozenset(one.label for one in own if one.head == head) for head in asked})
    told: list[Truth] = []
    for places, images in batches([file for file, _ in labelled.pictures]):
        for place, one in zip(places, ask(judge, images, sought), strict=True):
            if one.error:
                raise SetError(f"{labelled.pictures[place][0]}: the judge {card.name} failed on it: {one.error}")
            told.append({head: frozenset(named(labels)) for head, labels in one.labels.items()})
        if progress:
            progress(len(told))
    on = f"{len(told):,} labelled pictures, set sha256:{labelled.digest[:16]}"
    return Known(
        judge=card.name,
        digest=digest(card),
        set=labelled.digest,
        pictures=len(told),
        accuracy=tuple(compare(one, label_of(card, one), truths, told, on) for one in sought),
    )


def compare(one: Class, label: str, truths: Sequence[Truth], told: Sequence[Truth], on: str) -> Accuracy:
    """How often what was told of one class is what is true."""
    rows = [
        (one.label in truth[one.head], one.label in said[one.head])
        for truth, said in zip(truths, told, strict=True)
        if one.head in truth and one.head in said
    ]
    there, absent = [said for true, said in rows if true], [not said for true, said in rows if not true]
    return Accuracy(
        label=label,
        sensitivity=rate(sum(there), len(there)) if there else None,
        specificity=rate(sum(absent), len(absent)) if absent else None,
        on=on,
    )


def class_of(judge: Judge, label: str) -> Class | None:
    """The class that a set means by a label: `style: noto` as the card has it, or whatever the judge finds by it."""
    head, colon, rest = label.partition(": ")
    if colon and label in judge.card.classes:
        return Class(head, rest)
    return next((found for kind in get_args(Kind) if (found := judge.find([label], kind))), None)


def label_of(card: JudgeCard, one: Class) -> str:
    """A class as the card names it."""
    return long if (long := f"{one.head}: {one.label}") in card.classes else one.label


def write(found: Known, file: Path) -> None:
    write_text(file, found.model_dump_json(indent=1, exclude_none=True) + "\n")


def read(file: Path) -> Known:
    """The accuracy in a file, its intervals computed anew. Raises KnownError."""
    try:
        data = contents(file, LARGEST)
        if len(data) > LARGEST:
            raise KnownError(f"{file}: is too large for what `tracec judge` writes")
        found = Known.model_validate(json.loads(data))
        every = tuple(
            one.model_copy(update={"sensitivity": _again(one.sensitivity), "specificity": _again(one.specificity)})
            for one in found.accuracy
        )
    except OSError as error:
        raise KnownError(f"{file}: cannot be read ({error.strerror}); `tracec judge` writes such a file") from None
    except (ValidationError, ValueError, RecursionError) as error:
        if isinstance(error, KnownError):
            raise
        raise KnownError(f"{file}: is no file of `tracec judge`; measure the judge again") from None
    return found.model_copy(update={"accuracy": every})


def accuracies(cards: Iterable[JudgeCard], files: Iterable[Known] = ()) -> dict[tuple[str, str], Accuracy]:
    """How often each judge is right, by its name and its card's label: what a file says of it, else its own card.

    Raises KnownError for a file of a judge that does not look here, or that is not the same, and for two of one judge.
    """
    own = {card.name: card for card in cards}
    found = {(name, one.label): one for name, card in own.items() for one in card.accuracy}
    measured: set[tuple[str, str]] = set()
    for file in files:
        card = own.get(file.judge)
        if card is None:
            raise KnownError(f"--judge-known: the judge {file.judge} does not look here; name it with --judge")
        if digest(card) != file.digest:
            raise KnownError(
                f"--judge-known: was measured of another {file.judge} (other weights, value, classes or code); measure "
                f"it again: tracec judge {file.judge} --set FOLDER"
            )
        new = {(file.judge, one.label): one for one in file.accuracy}
        if twice := measured.intersection(new):
            raise KnownError(f"--judge-known: two files say how often {file.judge} is right about {min(twice)[1]}")
        measured.update(new)
        found |= new
    return found


def reported(judges: Iterable[JudgeCard], cards: Iterable[JudgeCard]) -> list[Known]:
    """What a report's `judges` were known to be besides the `cards` of its run: the files it was composed with, as far
    as it needed them.
    """
    told = {card.name: card.accuracy for card in judges}
    found = ((card, tuple(one for one in told.get(card.name, ()) if one not in card.accuracy)) for card in cards)
    return [
        Known(judge=card.name, digest=digest(card), set="", pictures=0, accuracy=besides)
        for card, besides in found
        if besides
    ]


def fixed(
    cards: Iterable[JudgeCard], files: Sequence[Known], classes: Iterable[Iterable[Sought]]
) -> dict[str, dict[str, str]]:
    """What files say of the judges about the classes that are sought, as a registration holds it: counts."""
    own = {(card.name, one.label): one for card in cards for one in card.accuracy}
    told: dict[str, dict[str, str]] = {}
    for (judge, label), one in accuracies(cards, files).items():
        if (judge, label) in labels(classes) and own.get((judge, label)) != one:
            sides = ((one.sensitivity, "found"), (one.specificity, "passed over"))
            counts = ", ".join(f"{side.hits} of {side.n} {what}" for side, what in sides if side)
            told.setdefault(judge, {})[label] = counts
    return told


def labels(classes: Iterable[Iterable[Sought]]) -> set[tuple[str, str]]:
    """Judge and label of all that is sought, as a card may name it."""
    return {
        (one.judge, label)
        for some in classes
        for one in some
        for label in (one.found.label, f"{one.found.head}: {one.found.label}")
    }


def _again(found: Rate | None) -> Rate | None:
    if found is None:
        return None
    if found.hits > found.n:
        raise ValueError("more hits than pictures")
    return rate(found.hits, found.n)
