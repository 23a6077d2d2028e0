"""A recipe without `preserve`, or with a prior that its method does not hold.

## What it does
Reports a recipe that erases and names nothing to keep. Reports a `preserve prior` where no pass of the method takes it
up: `refine` does, and `fuse` where it has several concepts to fuse; training does not.

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
    held = any(step.holds_prior(len(program.erase)) for step in program.method.passes)
    stated = [one for one in program.prior if not one.implied]
    for one in () if held else stated:
        message = f"no pass of the method `{program.method.name}` holds a prior"
        help = "use a method with a `refine` pass, or preserve by name"
        yield Diagnostic(CODE, SEVERITY, message, Label(one.span), help=help)
    if not stated and all(one.span in implied for one in program.preserve):
        help = 'write what has to stay: `preserve "…"`, near neighbours first'
        yield Diagnostic(CODE, SEVERITY, "this recipe preserves nothing", Label(subject.head), help=help)
