"""A preserved text that says the same as something that is erased.

## What it does
Reports a preserved text that speaks of an erased concept in other words: all words of one of its names in another
order or with others between ("person, naked" beside "naked person"), with another ending ("nudity" beside "nude") or
spelling ("T-shirt" beside "tshirt"), or all words of one of its probes. It knows English endings and the recipe's own
names and probes, no dictionary: "kitten" beside "cat" is found only where the recipe says that the two are one.

## Why
Two texts that a text encoder puts side by side cannot be parted by one edit: one of the two statements will lose.

## Example
```erase
tracelang 1
concept nude kind explicit { names "nude"  probes "unclothed figure" }
erase nude
preserve "statue", "nudity", "a figure, unclothed"
```

## Use instead
```erase
tracelang 1
concept nude kind explicit { names "nude"  probes "unclothed figure" }
erase nude
preserve "statue", "person"
```
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Severity
from tracelang.semantics.morphology import letters, roots
from tracelang.semantics.program import Erasure, Program
from tracelang.semantics.rules.preserved_name import clashes as contained
from tracelang.semantics.rules.sides import Clash, erasures, kept, report

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL402"
SEVERITY: Severity = "warning"
TITLE = "a preserved text says the same as an erased one"

Entry = tuple[frozenset[str], str, Erasure]


def check(subject: Subject) -> Iterator[Diagnostic]:
    help = "preserve something further away, or make it part of what is erased"
    note = "one edit cannot part two texts that a text encoder puts side by side"
    yield from report(subject.file, CODE, SEVERITY, _clashes(subject), "says the same as", help, note)


def _clashes(subject: Subject) -> Iterator[Clash]:
    program, table = subject.program, subject.forms
    by_root, by_letters = _indices(program, table)
    if not by_letters:
        return
    seen: set[tuple[str, str]] | None = None
    for text, keeper, statement in kept(program):
        words = roots(text, table)
        near = [
            (name, erasure)
            for word in sorted(words)
            for needed, name, erasure in by_root.get(word, ())
            if needed <= words
        ]
        near += by_letters.get(letters(text), ())
        if not near:
            continue
        if seen is None:  # what contains a name is reported by that rule
            seen = {(clash.preserved, clash.gone.key) for clash in contained(subject)}
        for name, erasure in near:
            key = erasure.targets[0]
            if (text, key) not in seen:
                seen.add((text, key))
                yield Clash(text, keeper, statement, name, program.concepts[key], erasure)


def _indices(
    program: Program, table: Mapping[str, str]
) -> tuple[dict[str, list[Entry]], dict[str, list[tuple[str, Erasure]]]]:
    """What is erased by the rarest root of each text, and by its letters without blanks."""
    entries: list[Entry] = []
    by_letters: dict[str, list[tuple[str, Erasure]]] = {}
    for erasure in erasures(program):
        if len(erasure.targets) == 1:
            concept = program.concepts[erasure.targets[0]]
            for name in (*concept.names, *concept.probes):
                entries.append((roots(name, table), name, erasure))
                if written := letters(name):
                    by_letters.setdefault(written, []).append((name, erasure))
    common = Counter(word for words, _, _ in entries for word in words)
    by_root: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry[0]:
            by_root.setdefault(min(entry[0], key=lambda word: (common[word], word)), []).append(entry)
    return by_root, by_letters
