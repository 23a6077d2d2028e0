"""A method that erases nothing.

## What it does
Reports the recipe's method where no pass of it maps text states and no term on erased prompts has a weight.

## Why
What `erase` says is then done by nothing: a model is trained, and the concept stays.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
method esd { steer.push.weight = 0 }
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
method esd { steer.push.weight = 0.5 }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL433"
SEVERITY: Severity = "warning"
TITLE = "a method that erases nothing"


def check(subject: Subject) -> Iterator[Diagnostic]:
    method = subject.program.method
    terms = [(step, term) for step in method.passes for term in step.terms if term.on == "erased" and not term.before]
    if any(step.maps_states for step in method.passes) or any(term.weight for _, term in terms):
        return
    address = f"{terms[0][0].label}.{terms[0][1].label}.weight" if terms else ""
    message = f"the method `{method.name}` erases nothing"
    help = "give `push` a weight, or the method a pass that maps text states: `refine {}`"
    yield Diagnostic(CODE, SEVERITY, message, Label(subject.place(address)), help=help)
