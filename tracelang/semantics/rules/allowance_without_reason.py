"""An allowance without a reason, or one that cannot be read.

## What it does
Reports a comment that begins with `tracec:` and is not `allow`, one or more codes, and a reason.

## Why
Whoever reviews the recipe has to know why a warning does not count here; and a comment with a typing error silences
nothing while it looks as if it did.

## Example
```erase
tracelang 1
erase "cat"
preserve "cat food"     # tracec: allow TL401
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "cat food"     # tracec: allow TL401 the packet shows no animal
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.rules.allowances import WORD

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL505"
SEVERITY: Severity = "warning"
TITLE = "an allowance without a reason, or one that cannot be read"


def check(subject: Subject) -> Iterator[Diagnostic]:
    for one in subject.allowances:
        if one.word != WORD or not one.codes:
            message = "this comment is meant for `tracec` and says nothing that it knows"
        elif not one.reason:
            message = f"{', '.join(one.codes)} is allowed here without a reason"
        else:
            continue
        help = "write `# tracec: allow TL401 reason`"
        yield Diagnostic(CODE, SEVERITY, message, Label(one.span), help=help)
