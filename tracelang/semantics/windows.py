"""Windows: stretches of sampling, by name or as a range."""

from __future__ import annotations

from math import isfinite
from typing import Any

from tracelang.semantics.context import Context
from tracelang.semantics.numbers import worth
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.values import LIMITS, Window
from tracelang.syntax import tree


def window(context: Context, scope: Scope, node: tree.WindowValue) -> Window | None:
    """The window that a range or a name means, or None where that is reported."""
    if isinstance(node, tree.Range):
        return _range(context, node)
    found = find(scope, "window", node, context.report)
    if found is None:
        return None
    definition, home = found
    assert isinstance(definition, tree.Window)
    value = definition.value
    return context.meaning(definition, node, lambda: window(context, home, value))


def _range(context: Context, node: tree.Range) -> Window | None:
    unit: Any = node.unit.text if node.unit else "progress"
    for end in (node.low, node.high):
        if end.percent != (unit == "progress"):
            message = "progress is written in percent" if unit == "progress" else f"{unit} is written without percent"
            help = f"write `{end.text}%`" if unit == "progress" else f"write `{end.text}`"
            context.report.error("TL212", message, end.span, help=help)
            return None
    low, high = worth(node.low), worth(node.high)
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
    return Window(unit, low, high)
