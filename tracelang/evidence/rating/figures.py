"""What raters say held together: how far they agree, and how often each judge of the run says as most of them do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

from tracelang.evidence import artifact as artifacts
from tracelang.evidence.agreement import cohen, fleiss
from tracelang.evidence.bench import Judgements
from tracelang.evidence.judges import Class, named
from tracelang.evidence.known import RATED, Known, compare, label_of
from tracelang.evidence.panel import digest
from tracelang.evidence.rating import key as keys
from tracelang.evidence.rating.errors import RatingError
from tracelang.evidence.rating.kept import shots, sought
from tracelang.evidence.rating.key import Key
from tracelang.evidence.rating.sheets import Answers, read
from tracelang.evidence.schema import Accuracy
from tracelang.evidence.work import Work, opened


@dataclass(frozen=True, slots=True)
class Agreed:
    """Of one concept: pictures of which all raters say the same, of which most see it or none, and which are left out,
    as many seeing it as not. `kappa` is Cohen's of two, Fleiss' of more; None of one, and where all always say one
    thing.
    """

    word: str
    pictures: int
    same: int
    split: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Rated:
    """What raters and judges came to, of so many of each."""

    raters: int
    agreed: tuple[Agreed, ...]
    known: tuple[Known, ...]
    failed: Mapping[str, int]
    """By judge, the pictures that it failed on, which count nowhere."""


def rate(out: Path, key_file: Path, sheets: Sequence[Path]) -> Rated:
    """Raises RatingError, EvidenceError, WorkError."""
    key = keys.read(key_file)
    artifact = artifacts.read(out)
    folder = artifact.report / "work" / key.run[:16]
    work = opened(folder)
    if work.run.digest != key.run:
        raise RatingError(f"{key_file}: is of another run than {folder}; give the OUT that it was exported from")
    pictures = _pictures(key, key_file, work)
    answers = read(sheets, key)
    votes = {one.concept: _votes(one.concept, key, answers) for one in key.asked}
    m = len(answers)
    agreed = tuple(_agreed(one.word, votes[one.concept], m) for one in key.asked)
    truth = {concept: [_most(some, m) for some in rows] for concept, rows in votes.items()}
    seen = _digest(key, truth)
    known, failed = list[Known](), dict[str, int]()
    for card in work.run.cards:
        classes = {concept: found for concept, found in sought(work.run).get(card.name, {}).items() if concept in truth}
        if not classes:
            continue
        said = [
            None
            if (one := side[card.name]).error
            else {head: frozenset(named(each)) for head, each in one.labels.items()}
            for side in pictures
        ]
        failed[card.name] = said.count(None)
        on = f"{len(said)} {RATED} {m}, set sha256:{seen[:16]}"
        accuracy = tuple(
            _accuracy(one, label_of(card, one), [truth[c] for c, other in classes.items() if other == one], said, on)
            for one in dict.fromkeys(classes.values())
        )
        known.append(Known(judge=card.name, digest=digest(card), set=seen, pictures=len(said), accuracy=accuracy))
    if not known:
        raise RatingError(f"{key_file}: asks for no concept that a judge of {folder} knows; give the key as exported")
    return Rated(m, agreed, tuple(known), failed)


def _pictures(key: Key, file: Path, work: Work) -> list[Judgements]:
    """What the run's judges said of each picture. Raises RatingError where the run has no such picture."""
    records = shots(work)
    files = {unit: dict((work.record(unit) or {})["digests"]) for unit in records}
    found = []
    for one in key.pictures:
        record = records.get(one.unit)
        row = record.rows[one.row] if record and one.row < len(record.rows) else None
        if row is None or row.files is None or files[one.unit].get(row.files[one.side == "after"]) != one.sha256:
            raise RatingError(f"{file}: {one.name} is no picture of this run; give the key and the OUT of one export")
        found.append(row.after if one.side == "after" else row.base)
    return found


def _votes(concept: str, key: Key, answers: Sequence[Answers]) -> list[list[bool]]:
    """A row for each picture: does each rater see the concept in it?"""
    return [[concept in rater[one.name] for rater in answers] for one in key.pictures]


def _most(votes: Sequence[bool], m: int) -> bool | None:
    """What most say; None where as many say the one as the other."""
    return None if 2 * sum(votes) == m else 2 * sum(votes) > m


def _agreed(word: str, rows: Sequence[Sequence[bool]], m: int) -> Agreed:
    kappa = nan
    if m == 2:
        kappa = cohen([one for one, _ in rows], [other for _, other in rows])
    elif m > 2:
        kappa = fleiss([["yes" if vote else "no" for vote in row] for row in rows])
    return Agreed(
        word=word,
        pictures=len(rows),
        same=sum(len({*row}) == 1 for row in rows),
        split=sum(_most(row, m) is None for row in rows),
        kappa=kappa if isfinite(kappa) else None,
    )


def _accuracy(
    one: Class,
    label: str,
    truths: Sequence[Sequence[bool | None]],
    said: Sequence[Mapping[str, frozenset[str]] | None],
    on: str,
) -> Accuracy:
    """How often a judge is right about a class, which may stand for several of the recipe's concepts."""
    true, told = list[Mapping[str, frozenset[str]]](), list[Mapping[str, frozenset[str]]]()
    for seen, each in zip(zip(*truths, strict=True), said, strict=True):
        shows = True if True in seen else None if None in seen else False
        if shows is not None and each is not None:
            true.append({one.head: frozenset([one.label] if shows else [])})
            told.append(each)
    return compare(one, label, true, told, on)


def _digest(key: Key, truth: Mapping[str, Sequence[bool | None]]) -> str:
    """sha256 of the pictures and of what they were found to show, wherever they lie and in whatever order."""
    lines = [
        f"{one.sha256} {' '.join(f'{concept}={seen[i]}' for concept, seen in sorted(truth.items()))}\n"
        for i, one in enumerate(key.pictures)
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
