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
from tracelang.semantics.phrases import forms

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL409"
SEVERITY: Severity = "warning"
TITLE = "a probe of which the edit sees another form"


def check(subject: Subject) -> Iterator[Diagnostic]:
    program = subject.program
    erase = [one for one in program.erase if one.degree > 0]
    if not any(program.concepts[key].probes for one in erase for key in one.targets):
        return
    from tracelang.semantics.probes import leaks

    told = {roots(name, subject.forms) for one in program.preserve for key in one.concepts
            for name in program.concepts[key].names}  # fmt: skip
    probes = [probe for one in erase for key in one.targets for probe in program.concepts[key].probes]
    texts = {text for one in program.concepts.values() for text in (*one.names, *one.templates)}
    for leak in leaks(program.concepts, erase, program.preserve, forms(probes, texts)):
        words = roots(leak.probe, subject.forms)
        if leak.user.startswith("the preserved") and any(words <= name for name in told):
            continue
        message = f'the probe "{leak.probe}" of {leak.concept.key} stands in "{leak.prompt}" in another form'
        also = (Label(leak.span, f"a prompt of {leak.user}"),) if leak.span != leak.concept.span else ()
        help = "choose a probe of other words"
        yield Diagnostic(CODE, SEVERITY, message, Label(leak.concept.span), also, help=help)
