"""A recipe without `expect`.

## What it does
Notes that a recipe does not say how one will know that it worked.

## Why
Verification of such a recipe is inconclusive, and inconclusive is not a pass.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
expect over 200 samples { shown("cat") <= 5%  kept("dog") >= 90% }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL407"
SEVERITY: Severity = "note"
TITLE = "nothing is expected"


def check(subject: Subject) -> Iterator[Diagnostic]:
    if not subject.program.expect:
        help = "write `expect over 200 samples { shown(…) <= 5% }`"
        message = "nothing is expected of the outcome, so verifying it is inconclusive"
        yield Diagnostic(CODE, SEVERITY, message, Label(subject.head), help=help)
