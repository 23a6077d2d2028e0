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
cannot be allowed; a note of `notes-as-warnings` (`tracelang.toml`) is a warning, and can.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Severity, Span
from tracelang.diagnostics.codes import CODES
from tracelang.semantics.rules.allowance_without_reason import CODE as WITHOUT_REASON
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
            message, help = _said(idle, one.line, subject.notes)
            fix = _without(one) if len(idle) == len(one.codes) else None
            yield Diagnostic(CODE, SEVERITY, message, Label(one.span, "allowed here"), help=help, fix=fix)


def _said(idle: list[str], line: int, notes: frozenset[str]) -> tuple[str, str]:
    """What is the case with codes that silence nothing, and what to do."""
    unknown = [code for code in idle if code not in CODES]
    if unknown:
        return f"there is no code {', '.join(unknown)}", "`tracec rule --all` explains every code"
    if notes.issuperset(idle):
        are = "is a note and needs" if len(idle) == 1 else "are notes and need"
        return (
            f"{', '.join(idle)} {are} no allowance",
            f'`notes-as-warnings = ["{idle[0]}"]` in tracelang.toml makes it a warning that may be allowed',
        )
    if {CODE, WITHOUT_REASON}.issuperset(idle):
        return (
            f"no allowance silences {', '.join(idle)}: it is about allowances",
            "mend or remove the comment that it names",
        )
    help = "remove the comment, or move it to the line of the warning; errors and notes cannot be allowed"
    return f"nothing on line {line} gives the warning {', '.join(idle)}", help


def _without(one: Allowance) -> Fix:
    """Take the comment out, with the blanks before it, and with its line where nothing else stands there."""
    text = one.span.source.text
    start = len(text[: one.span.start].rstrip(" \t"))
    end = one.span.start + len(one.span.text.rstrip())
    if start == 0 or text[start - 1] == "\n":
        end = min(len(text), (text.find("\n", end) + 1) or len(text))
    return Fix("remove the comment", (Edit(Span(one.span.source, start, end), ""),))
