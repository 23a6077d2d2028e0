"""A pass or a term that no engine carries out yet.

## What it does
Reports a pass or a term of the recipe's method that the language knows and this version has nothing for.

## Why
`plan` and `apply` refuse such a method: nothing of a method is dropped in silence. It is known as soon as the recipe is
read, and a method that is to be carried out later can be allowed until then.

## Example
```erase
tracelang 1
define method contrasted { steer { push {}  contrast {} } }
method contrasted
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

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.kinds import does, kinds
from tracelang.semantics.tables import DEFAULT_METHOD

if TYPE_CHECKING:
    from tracelang.semantics.kinds import Pass, Term
    from tracelang.semantics.rules.subject import Subject

CODE = "TL430"
SEVERITY: Severity = "warning"
TITLE = "a pass or term that no engine carries out yet"
ENGINE = "tracelang.engine"
"""Where passes and terms are carried out, each by the file of its kind. Only the names of the files are read here."""


def check(subject: Subject) -> Iterator[Diagnostic]:
    method = subject.program.method
    passes, terms = kinds(f"{ENGINE}.passes"), kinds(f"{ENGINE}.terms")
    missing: list[tuple[str, Pass | Term]] = []
    for step in method.passes:
        missing += [] if step.kind in passes else [(step.label, step)]
        missing += [(f"{step.label}.{term.label}", term) for term in step.terms if term.kind not in terms]
    if missing:
        address, part = missing[0]
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        message = f"`{address}` of `{method.name}` ({does(part)}) is not carried out yet{more}"
        help = f"use a method without it, such as `{DEFAULT_METHOD}`"
        yield Diagnostic(CODE, SEVERITY, message, Label(subject.place(address)), help=help)
