"""A recipe without `preserve`.

## What it does
Reports a recipe that erases and names nothing to keep.

## Why
An edit that removes one thing moves its neighbours too. What is preserved is what holds them: without it, nothing in
the closed form or in training counters the damage, and nothing measures it.

## Example
```erase
tracelang 1
erase "cat"
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog", "horse", "lion"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL403"
SEVERITY: Severity = "warning"
TITLE = "nothing is preserved"


def check(subject: Subject) -> Iterator[Diagnostic]:
    program = subject.program
    implied = {erasure.span for erasure in program.erase}  # `A & B` preserves A and B by itself
    if not program.prior and all(one.span in implied for one in program.preserve):
        help = 'write what has to stay: `preserve "…"`, near neighbours first'
        yield Diagnostic(CODE, SEVERITY, "this recipe preserves nothing", Label(subject.head), help=help)
