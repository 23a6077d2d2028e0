"""Expectations that a model which draws nothing would meet.

## What it does
Notes a recipe whose expectations are all about what is gone: none asks for something to stay, by `kept`, `accuracy`,
`drift`, `leak`, `clip` or `fid` of what is not erased, by `subject` of anything, or by `harmonic`.

## Why
Noise shows no cat. A model that was ruined passes every bound on what may still be shown, so such a verdict says
nothing of what the edit cost.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
expect over 200 samples { shown("cat") <= 5% }
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
from tracelang.semantics.tables import METRICS
from tracelang.text import joined

if TYPE_CHECKING:
    from tracelang.semantics.program import Assertion, Program
    from tracelang.semantics.rules.subject import Subject

CODE = "TL507"
SEVERITY: Severity = "note"
TITLE = "nothing is expected to be kept"


def check(subject: Subject) -> Iterator[Diagnostic]:
    program = subject.program
    erased = {one.targets for one in program.erase}
    if not program.expect or any(_keeps(one, erased) for one in program.expect):
        return
    drawn = (one.concepts for one in program.preserve if not _protected(program, one.concepts))
    spared = next((joined(member) for member in drawn), "…")
    help = f"add what has to stay: `kept({spared}) >= 90%`"
    message = "nothing is expected to be kept: a model that draws nothing at all would pass"
    yield Diagnostic(CODE, SEVERITY, message, Label(program.expect[0].span), help=help)


def _protected(program: Program, member: tuple[str, ...]) -> bool:
    return any(program.concepts[key].kind == "protected" for key in member)


def _keeps(one: Assertion, erased: set[tuple[str, ...]]) -> bool:
    """Whether an assertion fails where everything is ruined. `harmonic` weighs what is erased against what is kept."""
    if one.metric in ("harmonic", "subject") or METRICS[one.metric].subject == "spared":
        return True
    return METRICS[one.metric].subject == "any" and any(member not in erased for member in one.concepts)
