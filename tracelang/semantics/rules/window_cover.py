"""Windows of one pass that leave a gap or overlap.

## What it does
Looks at each pass that has both `push` and `hold` terms. Reports a stretch of sampling that neither covers, and one
that both cover. Windows in different units meet only on a model's schedule and are not compared here; in other units
than progress, what lies beyond the outermost ends is left alone.

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
from tracelang.semantics.program import Pass, Term, Window
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL404"
SEVERITY: Severity = "warning"
TITLE = "windows of a pass leave a gap or overlap"

Act = tuple[Term, Window]


def check(subject: Subject) -> Iterator[Diagnostic]:
    for one in subject.program.method.passes:
        acts: dict[str, list[Act]] = {}
        for term in one.terms:
            window = term.settings.get("during")
            if term.kind in ("push", "hold") and term.settings["weight"] and isinstance(window, Window):
                acts.setdefault(window.unit, []).append((term, window))
        if len(acts) != 1:
            continue
        [(unit, found)] = acts.items()
        if {term.kind for term, _ in found} == {"push", "hold"}:
            for message, terms in (*_overlaps(unit, found), *_gaps(unit, found)):
                span = _place(subject, one, terms)
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


def _place(subject: Subject, one: Pass, terms: list[Term]) -> Span:
    """Where the recipe sets one of the windows; else where it defines the terms, or chooses the method."""
    addresses = [(one.label, term.label, "during") for term in terms]
    defines: dict[str, tree.Define] = {}
    chosen: tree.Method | None = None
    for node in subject.file.statements:
        if isinstance(node, tree.Define):
            defines.setdefault(node.name.text, node)
        elif isinstance(node, tree.Method):
            chosen = node
    seen: set[str] = set()
    name = chosen.name.text if chosen else subject.program.method.name
    body = chosen.body if chosen else None
    while True:
        for item in body.items if body else ():
            if isinstance(item, tree.Setting) and tuple(part.text for part in item.address) in addresses:
                return item.span
            if isinstance(item, tree.Block) and (item.label or item.name).text == one.label:
                for term in item.body.items:
                    if isinstance(term, tree.Block) and any((term.label or term.name).text == t.label for t in terms):
                        return term.span
        if name in seen or name not in defines:
            return chosen.name.span if chosen else subject.head
        seen.add(name)
        body = defines[name].body
        base = defines[name].base
        name = base.text if base else ""
