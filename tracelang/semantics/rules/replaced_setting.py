"""A setting that another one of the method replaces.

## What it does
Reports a setting that the recipe writes, such as `threshold`, where the method has its absolute twin, such as
`threshold_absolute`, from elsewhere or from before it in the file.

## Why
Where the absolute one is given, the other is not read: the recipe says something that the edit does not do.

## Example
```erase
tracelang 1
erase "cat" toward "dog"
preserve "ship"
method speed { project.threshold = 0.3 }     # `speed` states `threshold_absolute`
```

## Use instead
```erase
tracelang 1
erase "cat" toward "dog"
preserve "ship"
method speed { project.threshold_absolute = none  project.threshold = 0.3 }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.fields import settings

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL436"
SEVERITY: Severity = "warning"
TITLE = "a setting that another one replaces"
TWIN = "_absolute"


def check(subject: Subject) -> Iterator[Diagnostic]:
    spans, here = subject.program.method.spans, subject.file.source
    for step in subject.program.method.passes:
        for twin in (name for name in settings(step) if name.endswith(TWIN)):
            value, name = getattr(step, twin), twin.removesuffix(TWIN)
            span, replacing = spans.get(f"{step.label}.{name}"), spans.get(f"{step.label}.{twin}")
            if value is None or span is None or span.source is not here:
                continue
            if replacing is not None and replacing.source is here and replacing.start > span.start:
                continue  # what is derived from a method may replace what that says
            message = f"`{step.label}.{name}` is not read: `{twin} = {value:g}` replaces it"
            help = f"write `{step.label}.{twin} = none` too, or take it out"
            yield Diagnostic(CODE, SEVERITY, message, Label(span), help=help)
