"""A probe of which the edit sees another form.

## What it does
Reports a probe of an erased concept that stands, inflected, in a prompt which the edit uses: one made of a name, an
anchor or a preserved text with its templates. As it is written it may not stand there at all (TL302); where a
preserved text itself says the same, TL402 reports it.

## Why
A probe is held out to show whether the edit reaches past the words that it saw. Of a plural it shows little.

## Example
```erase
tracelang 1
concept cat { names "cat"  probes "cats" }
erase cat
preserve "dog"
```

## Use instead
```erase
tracelang 1
concept cat { names "cat"  probes "feline" }
erase cat
preserve "dog"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.morphology import roots

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL409"
SEVERITY: Severity = "warning"
TITLE = "a probe of which the edit sees another form"


def check(subject: Subject) -> Iterator[Diagnostic]:
    program = subject.program
    active = {key for one in program.erase if one.degree > 0 for key in one.targets}
    found = [leak for leak in subject.resolution.inflected if leak.concept.key in active]
    if not found:
        return
    names = {name for one in program.preserve for key in one.concepts for name in program.concepts[key].names}
    told = [roots(name, subject.forms) for name in names]
    for leak in found:
        words = roots(leak.probe, subject.forms)
        if leak.user.startswith("the preserved") and any(words <= name for name in told):
            continue
        message = f'the probe "{leak.probe}" of {leak.concept.key} stands in "{leak.prompt}" in another form'
        also = (Label(leak.span, f"a prompt of {leak.user}"),) if leak.span != leak.concept.span else ()
        help = "choose a probe of other words"
        yield Diagnostic(CODE, SEVERITY, message, Label(leak.concept.span), also, help=help)
