"""A method that would sample something protected.

## What it does
Reports a recipe that erases, preserves or moves something toward a concept of kind `protected` by a method with a pass
that samples: `steer` follows trajectories of what it trains on, and `mask` gathers gradients on them.

## Why
Nobody may draw what is protected, not even half and undecoded. Such a recipe compiles and is refused where it meets a
model. Closed forms need text states and weights alone; `residual` and `leak` verify them without a sample.

## Example
```erase
tracelang 1
concept secret kind protected { names "a secret" }
erase secret
preserve "dog"
```

## Use instead
```erase
tracelang 1
concept secret kind protected { names "a secret" }
erase secret
preserve "dog"
method uce
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL408"
SEVERITY: Severity = "warning"
TITLE = "a method that would sample something protected"


def check(subject: Subject) -> Iterator[Diagnostic]:
    program = subject.program
    closed = {key for key, one in program.concepts.items() if one.kind == "protected"}
    if not closed:
        return
    sampling = next((one for one in program.method.passes if not one.closed_form), None)
    used = [(key, one.span) for one in program.erase if one.degree > 0 for key in (*one.targets, *(one.anchor or ()))]
    used += [(key, one.span) for one in program.preserve for key in one.concepts]
    found = next(((key, span) for key, span in used if key in closed), None)
    if sampling is None or found is None:
        return
    key, span = found
    chosen = [node for node in subject.file.statements if isinstance(node, tree.Method)]
    also = [Label(node.name.span, "the method") for node in chosen]
    message = f"the pass `{sampling.label}` of {program.method.name} would sample {key}, which is protected"
    help = "use a method of closed forms alone, such as `method uce`"
    yield Diagnostic(CODE, SEVERITY, message, Label(span), tuple(also), help=help)
