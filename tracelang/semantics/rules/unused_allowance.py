"""An allowance that silences nothing.

## What it does
Reports `# tracec: allow CODE reason` where its line gives no such warning.

## Why
It says that something is wrong which is not, and would hide the real case when one comes back.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"     # tracec: allow TL401 the word is part of a name
```

## Use instead
Remove the comment, or move it to the line that the warning names, or alone to the line above it. Errors and notes
cannot be allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Severity, Span
from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.rules.allowances import WORD, Allowance

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL504"
SEVERITY: Severity = "warning"
TITLE = "an allowance that silences nothing"


def check(subject: Subject) -> Iterator[Diagnostic]:
    for one in subject.allowances:
        idle = [code for code in one.codes if code not in one.used] if one.word == WORD else []
        if idle:
            message = f"nothing on line {one.line} gives the warning {', '.join(idle)}"
            help = "remove the comment, or move it to the line of the warning; errors and notes cannot be allowed"
            unknown = [code for code in idle if code not in CODES]
            if unknown:
                message, help = f"there is no code {', '.join(unknown)}", did_you_mean(unknown[0], CODES)
            fix = _without(one) if len(idle) == len(one.codes) else None
            yield Diagnostic(CODE, SEVERITY, message, Label(one.span, "allowed here"), help=help, fix=fix)


def _without(one: Allowance) -> Fix:
    """Take the comment out, with the blanks before it, and with its line where nothing else stands there."""
    text = one.span.source.text
    start = len(text[: one.span.start].rstrip(" \t"))
    end = one.span.start + len(one.span.text.rstrip())
    if start == 0 or text[start - 1] == "\n":
        end = min(len(text), (text.find("\n", end) + 1) or len(text))
    return Fix("remove the comment", (Edit(Span(one.span.source, start, end), ""),))
