"""A preserved text that contains an erased name.

## What it does
Reports a preserved text in which all words of an erased name stand side by side, possibly inflected. Only whole words
count, and only in this direction: "person" may be preserved beside the erased "naked person", "cats" beside the erased
"cat" may not. Of `A & B`, both have to be in the text.

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
from typing import TYPE_CHECKING, Any

from tracelang.diagnostics import Diagnostic, Severity
from tracelang.semantics.program import Program
from tracelang.semantics.rules.morphology import lemmas
from tracelang.semantics.rules.sides import Clash, erasures, kept, report
from tracelang.semantics.subsets import Subsets

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL401"
SEVERITY: Severity = "warning"
TITLE = "a preserved text contains an erased name"

Trie = dict[str, Any]
"""Erased names word by word; under the empty word, which no text has, stand the concept's key and the name."""


def check(subject: Subject) -> Iterator[Diagnostic]:
    help = "preserve another text, or take this one out with `except`"
    note = "the edit changes the erased words wherever they stand"
    yield from report(subject.file, CODE, SEVERITY, clashes(subject.program), "contains", help, note)


def clashes(program: Program) -> Iterator[Clash]:
    """Every preserved text with each erasure whose names it contains."""
    trie: Trie = {}
    for key in dict.fromkeys(key for erasure in erasures(program) for key in erasure.targets):
        for name in program.concepts[key].names:
            _insert(trie, lemmas(name), (key, name))
    by_targets = Subsets((erasure.targets, erasure) for erasure in erasures(program))
    for text, keeper, statement in kept(program):
        inside = _inside(trie, lemmas(text))
        if not inside:
            continue
        order = {key: i for i, key in enumerate(inside)}
        # What `A & B` erases is reported once, under its first concept.
        for _, erasure in sorted(by_targets.within(inside), key=lambda one: order[one[1].targets[0]]):
            key = erasure.targets[0]
            yield Clash(text, keeper, statement, inside[key], program.concepts[key], erasure)


def _insert(trie: Trie, words: tuple[str, ...], entry: tuple[str, str]) -> None:
    node = trie
    for word in words:
        node = node.setdefault(word, {})
    if node is not trie:
        node.setdefault("", []).append(entry)


def _inside(trie: Trie, words: tuple[str, ...]) -> dict[str, str]:
    """The erased concepts whose names stand in a text, each with the first such name."""
    found: dict[str, str] = {}
    for start, first in enumerate(words):
        node: Trie | None = trie.get(first)
        end = start
        while node is not None:
            for key, name in node.get("", ()):
                found.setdefault(key, name)
            end += 1
            node = node.get(words[end]) if end < len(words) else None
    return found
