"""A degree of 0 that is written out.

## What it does
Reports an `erase` with `degree 0%`. A degree that a `param` gives is left alone: `--set` may raise it.

## Why
At a degree of 0 the statement takes nothing away, and the recipe reads as if it did.

## Example
```erase
tracelang 1
erase "cat" degree 0%
preserve "dog"
```

## Use instead
```erase
tracelang 1
param strength = 0% in 0%..100%
erase "cat" degree param.strength
preserve "dog"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.numbers import worth
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL431"
SEVERITY: Severity = "warning"
TITLE = "a degree of 0 that is written out"


def check(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.file.statements:
        if not isinstance(node, tree.Erase):
            continue
        for part in node.modifiers:
            if isinstance(part, tree.Degree) and isinstance(part.value, tree.Number) and worth(part.value) == 0:
                message = f"at {part.value.span.text} this takes nothing of {node.set.span.text} away"
                help = "write how far it goes, as in `degree 80%`, or take the statement out"
                yield Diagnostic(CODE, SEVERITY, message, Label(part.span), help=help)
