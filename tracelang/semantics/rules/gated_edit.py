"""A gated edit, which no file holds.

## What it does
Reports a method whose `steer` has a `gate`.

## Why
A gate scales an edit by the noise level while a model draws. No checkpoint and no LoRA can hold that, so `tracec apply`
refuses such a recipe; only from Python is it used, in memory.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
method trace { steer.gate = late }
expect { shown("cat") <= 5% kept("dog") >= 90% }
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
method trace { steer.push.during = late }
expect { shown("cat") <= 5% kept("dog") >= 90% }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL509"
SEVERITY: Severity = "note"
TITLE = "a gated edit, which no file holds"


def check(subject: Subject) -> Iterator[Diagnostic]:
    for step in subject.program.method.passes:
        if getattr(step, "gate", None) is not None:
            message = (
                f"an edit that `{step.label}.gate` scales by noise level is written to no file: `apply` refuses it"
            )
            help = "leave the gate out, or use the edit from Python"
            yield Diagnostic(CODE, SEVERITY, message, Label(subject.place(f"{step.label}.gate")), help=help)
