"""Windows of one pass that leave a gap or overlap.

## What it does
Looks at each pass that has both `push` and `hold` terms. Reports a stretch of sampling that neither covers, and one
that both cover. Windows in different units meet only on a model's schedule, and `auto` ones only where they are
chosen: they are not compared here. In other units than progress, what lies beyond the outermost ends is left alone.

## Why
`push` moves the prediction for erased prompts away, `hold` keeps it as it was. Where both act they work against each
other; where neither does, the adapter is free to do anything.

## Example
```erase
tracelang 1
erase "cat"
preserve "dog"
method trace { steer.push.during = 25%..100% }     # `hold` still ends at 20%
```

## Use instead
```erase
tracelang 1
erase "cat"
preserve "dog"
method trace { steer.push.during = 25%..100%  steer.hold.during = 0%..25% }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity, Span
from tracelang.semantics.kinds import Term
from tracelang.semantics.values import Auto, Window
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL404"
SEVERITY: Severity = "warning"
TITLE = "windows of a pass leave a gap or overlap"

Act = tuple[Term, Window]


def check(subject: Subject) -> Iterator[Diagnostic]:
    for one in subject.program.method.passes:
        acting = [term for term in one.terms if term.kind in ("push", "hold") and term.weight]
        acts: dict[str, list[Act]] = {}
        for term in acting:
            if isinstance(term.during, Window):
                acts.setdefault(term.during.unit, []).append((term, term.during))
        if len(acts) != 1 or any(isinstance(term.during, Auto) for term in acting):
            continue
        [(unit, found)] = acts.items()
        if {term.kind for term, _ in found} == {"push", "hold"}:
            for message, terms in (*_overlaps(unit, found), *_gaps(unit, found)):
                span = _place(subject, one.label, terms)
                help = "let one window end where the other begins"
                yield Diagnostic(CODE, SEVERITY, f"in `{one.label}`, {message}", Label(span), help=help)


def _overlaps(unit: str, acts: list[Act]) -> Iterator[tuple[str, list[Term]]]:
    for push, a in acts:
        for hold, b in acts:
            low, high = max(a.low, b.low), min(a.high, b.high)
            if push.kind == "push" and hold.kind == "hold" and low < high:
                yield f"`{push.label}` and `{hold.label}` both act during {_words(unit, low, high)}", [push, hold]


def _gaps(unit: str, acts: list[Act]) -> Iterator[tuple[str, list[Term]]]:
    ordered = sorted(acts, key=lambda act: act[1].low)
    end, before = ordered[0][1].low, ordered[0][0]
    if unit == "progress":
        end = 0.0
    for term, window in ordered:
        if window.low > end:
            yield _gap(unit, end, window.low, [before, term])
        if window.high > end:
            end, before = window.high, term
    if unit == "progress" and end < 1:
        yield _gap(unit, end, 1.0, [before])


def _gap(unit: str, low: float, high: float, terms: list[Term]) -> tuple[str, list[Term]]:
    return f"neither `push` nor `hold` acts during {_words(unit, low, high)}", terms


def _words(unit: str, low: float, high: float) -> str:
    if unit == "progress":
        return f"{low * 100:g}%..{high * 100:g}%"
    return f"{unit} {low:g}..{high:g}"


def _place(subject: Subject, within: str, terms: list[Term]) -> Span:
    """The last of the windows that the recipe itself writes; without one, where it chooses the method."""
    spans = [subject.program.method.spans.get(f"{within}.{term.label}.during") for term in terms]
    here = [span for span in spans if span is not None and span.source is subject.file.source]
    if here:
        return max(here, key=lambda span: span.start)
    chosen = [node for node in subject.file.statements if isinstance(node, tree.Method)]
    return chosen[-1].name.span if chosen else subject.head
