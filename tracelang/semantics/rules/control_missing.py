"""A measure without the control that it is read against.

## What it does
Reports an expectation about a metric that compares the edited model with one that never knew the concept, in a recipe
that names no such model.

## Why
Whether an attack finds what was left in the weights, or what any model learns or guesses, only a model that never had
it can tell. Without one there is no figure, and the expectation stays inconclusive.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
expect over 200 samples { excess("cat", p4d) <= 10% }
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
control never = "micro-sd-never"
expect over 200 samples { excess("cat", p4d) <= 10% }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.tables import METRICS

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL435"
SEVERITY: Severity = "warning"
TITLE = "a measure without the control that it is read against"


def check(subject: Subject) -> Iterator[Diagnostic]:
    program = subject.program
    if any(one.kind == "never" for one in program.controls):
        return
    for one in program.expect:
        if METRICS[one.metric].control:
            message = f"`{one.metric}` is read against a model that never knew the concept, and none is named"
            help = 'name one, or its folder: `control never = "micro-sd-never"`'
            yield Diagnostic(CODE, SEVERITY, message, Label(one.span, "stays inconclusive"), help=help)
