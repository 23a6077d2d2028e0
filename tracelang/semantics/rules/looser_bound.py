"""A bound that a tighter one beside it makes idle.

## What it does
Reports an expectation where the same `expect` bounds the same metric of the same concepts on the same side at least as
tightly. A bound that a `param` gives is left alone: `--set` may make it the tighter one.

## Why
Whatever meets the tighter bound meets the looser one. The line says nothing, and whoever reads it first takes the wrong
one for what is asked.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
expect { shown("cat") <= 5%  shown("cat") <= 10%  kept("dog") >= 80% }
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
expect { shown("cat") <= 5%  kept("dog") >= 80% }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.program import Assertion
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL510"
SEVERITY: Severity = "warning"
TITLE = "a bound that a tighter one beside it makes idle"


def check(subject: Subject) -> Iterator[Diagnostic]:
    blocks = [node for file in subject.resolution.files for node in file.statements if isinstance(node, tree.Expect)]
    home = {
        one.span: i for i, block in enumerate(blocks) for one in block.assertions if isinstance(one.bound, tree.Number)
    }
    alike: dict[object, list[Assertion]] = {}
    for one in subject.program.expect:
        if one.span in home:
            key = (home[one.span], one.metric, one.concepts, one.attack, one.suite, one.after, one.comparison)
            alike.setdefault(key, []).append(one)
    for group in alike.values():
        tightest = (min if group[0].comparison == "<=" else max)(group, key=lambda one: one.bound)
        for one in group:
            if one is not tightest:
                message = f"this bound of `{one.metric}` says nothing: a tighter one stands beside it"
                if one.bound == tightest.bound:
                    message = f"this bound of `{one.metric}` stands here twice"
                also = (Label(tightest.span, "this one holds"),)
                yield Diagnostic(CODE, SEVERITY, message, Label(one.span), also, help="remove it")
