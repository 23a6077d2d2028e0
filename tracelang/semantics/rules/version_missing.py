"""A recipe that does not say which version of the language it is written in.

## What it does
Notes a file without `tracelang 1`.

## Why
A recipe is kept for years. With the line, a later compiler reads it as it was meant, or says that it cannot.

## Example
```erase
erase "cat"
preserve "dog"
```

## Use instead
```erase
tracelang 1

erase "cat"
preserve "dog"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Severity, Span
from tracelang.syntax import tree
from tracelang.syntax.tree import LANGUAGE_VERSION

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL506"
SEVERITY: Severity = "note"
TITLE = "the version of the language is missing"


def check(subject: Subject) -> Iterator[Diagnostic]:
    first = subject.file.statements[0]
    if isinstance(first, tree.Version):
        return
    line = f"tracelang {LANGUAGE_VERSION}"
    source = subject.file.source
    end = "\r\n" if "\r\n" in source.text else "\n"
    fix = Fix(f"put `{line}` first", (Edit(Span(source, 0, 0), f"{line}{end}{end}"),))
    message = "this file does not say which version of the language it is written in"
    word = Span(source, first.span.start, first.span.start + len(first.span.text.split()[0]))
    yield Diagnostic(CODE, SEVERITY, message, Label(word), help=f"put `{line}` first", fix=fix)
