"""Numbers as written, and what they are worth."""

from __future__ import annotations

from math import isfinite

from tracelang.diagnostics import Span
from tracelang.semantics.context import Context
from tracelang.semantics.fields import Field, range_words
from tracelang.semantics.scope import Scope, find
from tracelang.syntax import tree


def worth(number: tree.Number) -> float:
    """The value; a percentage is its share, rounded once (`60%` is 0.6 exactly as written in Python)."""
    text = number.text
    if number.percent:
        mantissa, _, exponent = text.lower().partition("e")
        sign, digits = "-" if exponent.startswith("-") else "", exponent.lstrip("+-").lstrip("0") or "0"
        text = f"{mantissa}e{int(sign + digits[:9]) - 2}"  # nine digits of exponent are past any float
    return float(text) + 0.0


def scalar(context: Context, scope: Scope, node: tree.Value | tree.Scalar) -> tree.Number | None:
    """A number, or the one that a `param.name` (`param.n.name` of an import) stands for. Anything else is reported."""
    if isinstance(node, tree.Number):
        return node
    if isinstance(node, tree.Reference) and len(node.parts) > 1 and node.parts[0].text == "param":
        first, last = node.parts[1].span, node.parts[-1].span
        name = tree.Reference(node.parts[1:], span=Span(first.source, first.start, last.end))
        found = find(scope, "param", name, context.report)
        return context.params.get(id(found[0])) if found else None
    context.report.error("TL212", "a number belongs here", node.span, help="write a number, or `param.name`")
    return None


def bounded(context: Context, scope: Scope, node: tree.Value | tree.Scalar, field: Field, what: str) -> float | None:
    """A number without percent sign inside the bounds of a field."""
    number = scalar(context, scope, node)
    if number is None:
        return None
    if number.percent:
        plain = f"{worth(number):g}"
        context.report.error("TL212", f"{what} is a plain number", node.span, help=f"write `{plain}`")
        return None
    digits = field.type == "integer" and number.text.isdigit() and len(number.text) < 40
    value = int(number.text) if digits else worth(number)  # a float would round a large seed
    if field.type == "integer" and isfinite(value) and value != int(value):
        context.report.error("TL212", f"{what} is a whole number", node.span, help=f"write `{round(value)}`")
        return None
    if field.fits(value):
        return value
    if field.high is None and value > field.most:
        context.report.error("TL213", f"{what} is too large", node.span, help="write `1e30` or less")
        return None
    context.report.error("TL213", f"{what} is {range_words(field)}", node.span)
    return None


def share(context: Context, scope: Scope, node: tree.Scalar, what: str) -> float | None:
    """A share from 0 to 1, as a percentage or a fraction."""
    number = scalar(context, scope, node)
    if number is None:
        return None
    value = worth(number)
    if 0 <= value <= 1:
        return value
    help = f"write `{number.text}%`" if not number.percent and 1 < value <= 100 else ""
    context.report.error("TL213", f"{what} lies between 0% and 100%", node.span, help=help)
    return None
