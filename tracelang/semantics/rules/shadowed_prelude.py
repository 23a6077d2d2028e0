"""A local definition with a name from the prelude.

## What it does
Notes a window, layer set or method that has the name of one that every recipe knows already. Templates under the name
of a kind are meant to: they are the wordings of that kind in this file.

## Why
The local one holds for this file's own statements only. A shipped method keeps its own meaning of the name: a window
or a layer set reaches a method only by a setting that names it.

## Example
```erase
tracelang 1
window late = 60%..100%
erase "cat"
preserve "dog"
method trace { steer.push.during = late  steer.hold.during = 0%..60% }
```

## Use instead
A name of its own, unless it is meant to replace the prelude's in this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.scope import WHAT
from tracelang.semantics.standard import method_names, prelude

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL502"
SEVERITY: Severity = "note"
TITLE = "a local definition shadows the prelude"


def check(subject: Subject) -> Iterator[Diagnostic]:
    for sort, local in subject.scope.definitions.items():
        if not local or sort == "templates":  # the prelude's are those of the kinds, and this is how one sets them
            continue
        known = set(prelude().definitions[sort])
        if sort == "method":
            known.update(method_names())
        for name in local:
            if name in known:
                message = f"`{name}` is the name of {_article(WHAT[sort][1])} in the prelude too"
                note = "it holds in this file only; a shipped method keeps its own meaning of the name"
                yield Diagnostic(CODE, SEVERITY, message, Label(local[name].name.span), note=note)


def _article(what: str) -> str:
    return what if what.endswith("s") else f"a {what}"
