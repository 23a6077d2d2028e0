"""A quoted text that a declared concept already names.

## What it does
Notes a quoted text in a set, where one of the recipe's own concepts has that text among its names.

## Why
A quoted text is a concept of its own, of that one name and of the kind `object`. The kind, the other names, the probes
and the templates of the declared one do not hold for it.

## Example
```erase
tracelang 1
concept cat { names "cat" }
erase "cat"
preserve "dog"
```

## Use instead
```erase
tracelang 1
concept cat { names "cat" }
erase cat
preserve "dog"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Severity, Span
from tracelang.semantics.concepts import folded
from tracelang.semantics.rules.references import leaves
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL503"
SEVERITY: Severity = "note"
TITLE = "a quoted text that a declared concept already names"


def check(subject: Subject) -> Iterator[Diagnostic]:
    named: dict[str, tree.Concept] = {}
    for concept in subject.file.statements:
        if isinstance(concept, tree.Concept) and isinstance(concept.name, tree.Name):
            for item in _names(concept):
                named.setdefault(folded(item.value), concept)
    if not named:
        return
    found: dict[str, list[Span]] = {}
    for leaf in _leaves(subject.file):
        if isinstance(leaf, tree.Text) and leaf.value not in subject.scope.texts and folded(leaf.value) in named:
            found.setdefault(leaf.value, []).append(leaf.span)
    for text, spans in found.items():
        concept = named[folded(text)]
        name = concept.name.span.text
        also = (Label(concept.name.span, "declared here"), *(Label(span, "and here") for span in spans[1:]))
        edits = tuple(Edit(span, name) for span in spans)
        fix = Fix(f"write `{name}`", edits, safe=_same(subject, concept, text))
        message = f'the concept `{name}` already names "{text}"'
        note = "a quoted text is a concept of its own: kind, names, probes and templates of the other do not hold"
        label = Label(spans[0], "another concept")
        yield Diagnostic(CODE, SEVERITY, message, label, also, help=f"write `{name}`", note=note, fix=fix)


def _names(concept: tree.Concept) -> Iterator[tree.Text]:
    for entry in concept.entries:
        for item in entry.items if entry.field == "names" else ():
            if isinstance(item, tree.Text):
                yield item


def _leaves(file: tree.File) -> Iterator[tree.Text | tree.ListFile | tree.Reference]:
    for node in file.statements:
        match node:
            case tree.Erase():
                yield from leaves(node.set)
                for modifier in node.modifiers:
                    if isinstance(modifier, tree.Toward):
                        yield from leaves(modifier.set)
            case tree.Preserve() | tree.Group():
                yield from leaves(node.set)
            case tree.Expect():
                for one in node.assertions:
                    yield from leaves(one.arguments)


def _same(subject: Subject, concept: tree.Concept, text: str) -> bool:
    """Whether the plan stays what it is: the declared concept says no more than the quotes do, and goes by that name.

    It must not be in use itself, and no list may bring the text in: then there would be two concepts, and now one.
    """
    plain = concept.kind is None or concept.kind.text == "object"
    return (
        plain
        and all(entry.field == "names" for entry in concept.entries)
        and all(isinstance(item, tree.Text) and item.value == text for entry in concept.entries for item in entry.items)
        and concept.name.span.text == text
        and text not in subject.program.concepts
        and not any(isinstance(leaf, tree.ListFile) for leaf in _leaves(subject.file))
        and not any(isinstance(node, tree.Include) for node in subject.file.statements)
    )
