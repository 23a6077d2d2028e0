"""A window or a place that a stated model family does not have.

## What it does
Looks at the families that the header `supports`. Reports a window in training timesteps (`t`) where one of them has
none, and a place of layers (`mid`, `double`, …) that none of them has.

## Why
`plan` refuses the recipe for a model of that family, though the header says that it is for it.

## Example
```erase
tracelang 1
recipe "cats" { supports = flux }
erase "cat"
preserve "dog"
method trace { steer.push.during = t 0..800  steer.on = (text in mid) }
```

## Use instead
```erase
tracelang 1
recipe "cats" { supports = flux }
erase "cat"
preserve "dog"
method trace { steer.on = (text in double) }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.fields import settings
from tracelang.semantics.tables import BLOCKS, TIMESTEPS
from tracelang.semantics.values import Difference, InPlaces, Layers, Union, Window

if TYPE_CHECKING:
    from tracelang.semantics.kinds import Pass, Term
    from tracelang.semantics.rules.subject import Subject

CODE = "TL432"
SEVERITY: Severity = "warning"
TITLE = "a window or place that a stated family does not have"


def check(subject: Subject) -> Iterator[Diagnostic]:
    stated = subject.program.header.get("supports", ())
    if not stated:
        return
    timeless = [family for family in stated if family not in TIMESTEPS]
    known = {place for family in stated for place in BLOCKS.get(family, ())}
    for address, part in _parts(subject):
        for name, field in settings(part).items():
            value = getattr(part, name)
            message = help = ""
            if isinstance(value, Window) and value.unit == "t" and timeless:
                message = f"`{address}.{name}` is in training timesteps, which {timeless[0]} has not"
                help = "write the window in progress or in logsnr"
            elif field.type == "sites":
                lacking = [place for place in _places(value) if place not in known]
                if lacking:
                    message = f"`{address}.{name}` looks in `{lacking[0]}`, a place that {' and '.join(stated)} lack"
                    help = f"the places there are {', '.join(sorted(known))}"
            if message:
                yield Diagnostic(CODE, SEVERITY, message, Label(subject.place(f"{address}.{name}")), help=help)


def _parts(subject: Subject) -> Iterator[tuple[str, Pass | Term]]:
    for step in subject.program.method.passes:
        yield step.label, step
        for term in step.terms:
            yield f"{step.label}.{term.label}", term


def _places(layers: Layers) -> Iterator[str]:
    if isinstance(layers, InPlaces):
        yield from layers.places
        yield from _places(layers.of)
    elif isinstance(layers, Union):
        for member in layers.members:
            yield from _places(member)
    elif isinstance(layers, Difference):
        yield from _places(layers.left)
