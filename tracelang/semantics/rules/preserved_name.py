"""A preserved text that contains an erased name.

## What it does
Reports a preserved text in which all words of an erased name stand side by side, possibly inflected, and a prompt that
a preserved concept's templates make of it. Only whole words count, and only in this direction: "person" may be
preserved beside the erased "naked person", "cats" beside the erased "cat" may not, nor anything "next to a cat". Of
`A & B`, both have to be in the text.

## Why
The edit changes the states of the erased words wherever they stand, so erasing and preserving pull against each other:
the target comes back, or what was to stay goes with it.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog", "cats on a roof"
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog", "a roof"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Severity
from tracelang.semantics.phrases import Phrases, stems_by
from tracelang.semantics.program import Erasure, Key
from tracelang.semantics.rules.sides import Clash, erasures, kept, report
from tracelang.semantics.subsets import Subsets

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL401"
SEVERITY: Severity = "warning"
TITLE = "a preserved text contains an erased name"


def check(subject: Subject) -> Iterator[Diagnostic]:
    help = "preserve another text, or take this one out with `except`"
    note = "the edit changes the erased words wherever they stand"
    yield from report(subject.file, CODE, SEVERITY, clashes(subject), "contains", help, note)


def clashes(subject: Subject) -> Iterator[Clash]:
    """Every preserved text, or the first prompt made of it, with each erasure whose names it contains."""
    program = subject.program
    by_targets = Subsets((erasure.targets, erasure) for erasure in erasures(program))
    keys = dict.fromkeys(key for erasure in erasures(program) for key in erasure.targets)
    gone = [(name, key) for key in keys for name in program.concepts[key].names]
    erased = Phrases(gone, stems_by(subject.forms))
    if not erased:
        return
    reported: set[tuple[Key, Key]] = set()
    for text, keeper, statement in kept(program):
        for clash in _clashes(by_targets, erased, text):
            reported.add((keeper.key, clash[1]))
            yield Clash(text, keeper, statement, clash[0], program.concepts[clash[1]], clash[2])
    for statement in program.preserve:
        for prompt in erased.prompts([program.concepts[key] for key in statement.concepts]):
            keeper = program.concepts[statement.concepts[0]]
            for name, key, erasure in _clashes(by_targets, erased, prompt):
                if not any((one, key) in reported for one in statement.concepts):
                    reported.add((keeper.key, key))
                    yield Clash(prompt, keeper, statement, name, program.concepts[key], erasure)


def _clashes(by_targets: Subsets[Erasure], erased: Phrases[Key], text: str) -> Iterator[tuple[str, Key, Erasure]]:
    inside: dict[Key, str] = {}
    for name, key in erased.inside(text):
        inside.setdefault(key, name)
    if not inside:
        return
    order = {key: i for i, key in enumerate(inside)}
    # What `A & B` erases is reported once, under its first concept.
    for _, erasure in sorted(by_targets.within(inside), key=lambda one: order[one[1].targets[0]]):
        key = erasure.targets[0]
        yield inside[key], key, erasure
