"""A recipe whose review is overdue.

## What it does
Reports a `review_by` that lies before today, or before `--today DATE`. Only `lint` does: what a recipe compiles to
does not depend on the day.

## Why
What has to be removed changes with law, policy and models; the date is the owner's promise to look again.

## Example
```erase
tracelang 1
recipe "cats" { summary = "Removes cats."  review_by = "2020-01-01" }
erase "cat"
preserve "dog"
```

## Use instead
Review the recipe, then set the next date: `review_by = "2099-01-01"`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL406"
SEVERITY: Severity = "warning"
TITLE = "`review_by` lies in the past"
FIELD = "review_by"


def check(subject: Subject) -> Iterator[Diagnostic]:
    due = subject.program.header.get(FIELD)
    if subject.today is None or not isinstance(due, str) or due >= subject.today.isoformat():
        return
    recipe = next(node for node in subject.file.statements if isinstance(node, tree.Recipe))
    for item in recipe.body.items:
        if isinstance(item, tree.Setting) and item.address[0].text == FIELD:
            message = f"this recipe was to be reviewed by {due}, and it is {subject.today.isoformat()}"
            help = "review it, then set the next date"
            yield Diagnostic(CODE, SEVERITY, message, Label(item.values[0].span), help=help)
