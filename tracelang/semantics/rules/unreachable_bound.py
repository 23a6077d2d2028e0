"""A bound that cannot pass with so few samples.

## What it does
Reports an expectation about a share that stays inconclusive even if every single sample turns out well.

## Why
An expectation passes when the whole 95 % interval (Wilson) lies on the right side of its bound. With no hit among n
images the interval still reaches z² / (n + z²), z = 1.96: 7.1 % of 50 images, 1.9 % of 200. The n here is that of all
concepts of the set together.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
expect over 100 samples { shown("cat") <= 2% }
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
expect over 189 samples { shown("cat") <= 2% }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.tables import METRICS

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL405"
SEVERITY: Severity = "warning"
TITLE = "a bound that cannot pass with so few samples"

Z = 1.959963984540054
"""Of a 95 % interval."""


def check(subject: Subject) -> Iterator[Diagnostic]:
    for one in subject.program.expect:
        if not METRICS[one.metric].counted:  # the mean of two shares (`harmonic`) and ratios have other intervals
            continue
        room = one.bound if one.comparison == "<=" else 1.0 - one.bound
        images = one.samples * len(one.concepts)
        if one.suite is not None:
            images = sum(min(one.samples, len(rows)) for _, rows in one.suite.rows)
        if reach(images) <= room:
            continue
        best = reach(images) if one.comparison == "<=" else 1.0 - reach(images)
        message = f"at best, {images:,} samples show `{one.metric}` {one.comparison} {_percent(best, one.comparison)}"
        needed = -(-samples(room) // len(one.concepts)) if room > 0 else None
        help = (
            f"take `over {needed} samples` or more, or a wider bound"
            if needed is not None
            else "no number of samples shows a share of exactly 0% or 100%: choose a wider bound"
        )
        note = "it passes when the whole 95% interval (Wilson) lies on this side of the bound"
        label = Label(one.span, "stays inconclusive")
        yield Diagnostic(CODE, SEVERITY, message, label, help=help, note=note)


def reach(images: int) -> float:
    """The upper end of the 95 % Wilson interval of no hit among n images: z² / (n + z²)."""
    return Z**2 / (images + Z**2)


def samples(room: float) -> int:
    """The least n whose `reach` is within a share: z² (1 - p) / p."""
    least = max(1, ceil(Z**2 * (1 - room) / room))
    return least if reach(least) <= room else least + 1


def _percent(share: float, comparison: str) -> str:
    """A share in percent, rounded to the unfavourable side, so that the sentence stays true."""
    tenths = share * 1000
    rounded = ceil(tenths) if comparison == "<=" else int(tenths)
    return f"{rounded / 10:g}%"
