"""Windows: stretches of sampling, by name, as a range, or to be chosen from the model."""

from __future__ import annotations

from math import isfinite
from typing import Any

from tracelang.semantics.context import Context
from tracelang.semantics.numbers import share, worth
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.values import AUTO, LIMITS, Auto, Window
from tracelang.syntax import tree


def window(context: Context, scope: Scope, node: tree.WindowValue) -> Window | Auto | None:
    """The window that a range, a name or `auto` means, or None where that is reported.

    A bare `auto` is the name of a window where one is called so.
    """
    match node:
        case tree.Range():
            return _range(context, node)
        case tree.Auto():
            found = share(context, scope, node.share, "the share of `auto`")
            return None if found is None else Auto(found)
        case tree.Before():
            return _before(context, scope, node)
    if node.text == "auto" and scope.find("window", "auto") is None and "auto" not in scope.missing:
        return Auto(AUTO)
    named = find(scope, "window", node, context.report)
    if named is None:
        return None
    definition, home = named
    assert isinstance(definition, tree.Window)
    value = definition.value
    return context.meaning(definition, node, lambda: window(context, home, value))


def _before(context: Context, scope: Scope, node: tree.Before) -> Window | Auto | None:
    """From a progress to where another window begins, which is in progress too; or all that is before a chosen one."""
    until = window(context, scope, node.window)
    if until is None:
        return None
    if not node.low.percent:
        help = f"write `{node.low.text}%`"
        context.report.error("TL212", "progress is written in percent", node.low.span, help=help)
        return None
    low = worth(node.low)
    if isinstance(until, Auto):
        if until.part == "inside" and low == 0:
            return Auto(until.share, "before")
        help = "write `0%..` and a window that is chosen, like `0%..auto 30%`"
        context.report.error("TL214", "what lies before a chosen window begins at 0%", node.span, help=help)
        return None
    if until.unit != "progress":
        help = f"write both ends in {until.unit}"
        context.report.error(
            "TL212", f"this window begins in {until.unit}, not in progress", node.window.span, help=help
        )
        return None
    return _ordered(context, node, Window("progress", low, until.low))


def _range(context: Context, node: tree.Range) -> Window | None:
    unit: Any = node.unit.text if node.unit else "progress"
    for end in (node.low, node.high):
        if end.percent != (unit == "progress"):
            message = "progress is written in percent" if unit == "progress" else f"{unit} is written without percent"
            help = (
                f"write `{_percent(node.low)}..{_percent(node.high)}`" if unit == "progress" else f"write `{end.text}`"
            )
            context.report.error("TL212", message, end.span, help=help)
            return None
    return _ordered(context, node, Window(unit, worth(node.low), worth(node.high)))


def _percent(end: tree.Number) -> str:
    """An end of progress as it has to be written: `1` and `0.2` were meant as fractions."""
    value = worth(end)
    return f"{100 * value:g}%" if end.percent or 0 <= value <= 1 else f"{end.text}%"


def _ordered(context: Context, node: tree.Range | tree.Before, found: Window) -> Window | None:
    """The window, or None, reported, where it has no length or leaves what its unit reaches."""
    unit, low, high = found.unit, found.low, found.high
    least, most = LIMITS[unit]
    if not (least <= low and high <= most and isfinite(low) and isfinite(high)):
        words = "between 0% and 100%" if unit == "progress" else "at least 0" if least == 0 else "finite"
        context.report.error("TL213", f"{unit} is {words}", node.span)
        return None
    if low >= high:
        problem = "is empty" if low == high else "runs backwards"
        help = "write the lower end first; progress 0% is pure noise, 100% the finished image"
        context.report.error("TL214", f"this window {problem}", node.span, help=help)
        return None
    return found
