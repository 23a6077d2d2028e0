"""A name that reads as a template, or as several names.

## What it does
Reports `{}` inside a name, a probe, or a quoted text that stands for a concept, and an erased text or a name that is a
list in one pair of quotes: three short parts or more between commas, or parts between semicolons.

## Why
A name is one text, word by word. `"a {} cat"` is a template that landed among the names, and of `"cat, dog, horse"`
neither `cat` nor `dog` is erased, but prompts in which all three stand so.

## Example
```erase
tracelang 1
erase "cat, dog, horse"
preserve "a {} bird"
expect { shown("cat, dog, horse") <= 5% kept("a {} bird") >= 90% }
```

## Use instead
```erase
tracelang 1
concept bird { names "bird" templates "a {}", "a small {}" }
erase "cat", "dog", "horse"
preserve bird
expect { shown("cat", "dog", "horse") <= 5% kept(bird) >= 90% }
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Severity
from tracelang.semantics.rules.references import leaves
from tracelang.syntax import tree
from tracelang.syntax.text import quote

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL508"
SEVERITY: Severity = "note"
TITLE = "a name that reads as a template, or as several names"
MARKS = ",;、，；"
SHORT = 3
"""So many words has a part of what reads as several names; captions have commas too, and longer parts."""


def check(subject: Subject) -> Iterator[Diagnostic]:
    for text, named in _texts(subject.file):
        if "{}" in text.value:
            message = (
                "`{}` in a name stands for nothing: a concept's name goes into a template, not the other way round"
            )
            help = 'write the name alone, and `templates "..."` in a `concept`'
            yield Diagnostic(CODE, SEVERITY, message, Label(text.span), help=help)
        elif named and (parts := _several(text.value)):
            apart = ", ".join(quote(part) for part in parts)
            message = f"this is one name of {len(parts)} parts, and none of them is erased by itself"
            fix = Fix(f"write {apart}", (Edit(text.span, apart),), safe=False)
            help = f"write {apart}, if each one is meant"
            yield Diagnostic(CODE, SEVERITY, message, Label(text.span), help=help, fix=fix)


def _several(text: str) -> list[str]:
    if not any(mark in text for mark in MARKS):
        return []
    parts = [part.strip() for part in re.split(f"[{MARKS}]", text)]
    listed = len(parts) >= 3 or (len(parts) == 2 and re.search("[;；]", text) is not None)
    return parts if listed and all(0 < len(part.split()) <= SHORT for part in parts) else []


def _texts(file: tree.File) -> Iterator[tuple[tree.Text, bool]]:
    """The texts that are names or probes, and whether each is a name of what may be erased."""
    for node in file.statements:
        if isinstance(node, tree.Concept):
            for entry in node.entries:
                for item in entry.items if entry.field != "templates" else ():
                    if isinstance(item, tree.Text):
                        yield item, entry.field == "names"
        elif isinstance(node, tree.Erase | tree.Preserve | tree.Group):
            for leaf in leaves(node.set):
                if isinstance(leaf, tree.Text):
                    yield leaf, isinstance(node, tree.Erase)
