"""The value of a setting, checked against its declaration."""

from __future__ import annotations

from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.fields import Field
from tracelang.semantics.layers import Measured, glob, sites, union
from tracelang.semantics.numbers import bounded
from tracelang.semantics.scope import Scope
from tracelang.semantics.values import Auto, Layers, Window
from tracelang.semantics.windows import window
from tracelang.syntax import tree

Setting = str | int | float | Window | Auto | Layers | None


class Wrong:
    """Stands for a value whose problem is reported."""


WRONG = Wrong()


def setting(context: Context, scope: Scope, field: Field, node: tree.Setting) -> Setting | Wrong:
    """What `node` gives the field, or WRONG."""
    name = ".".join(part.text for part in node.address)
    if field.type == "sites":
        return _sites(context, scope, node.values)
    if len(node.values) > 1:
        context.report.error("TL212", f"`{name}` takes one value", node.values[1].span, help="remove the rest")
        return WRONG
    value = node.values[0]
    word = value.text if isinstance(value, tree.Reference) else None
    if field.absent and word == field.absent:
        return None
    if field.type == "window":
        if isinstance(value, tree.WindowValue):
            found = window(context, scope, value)
            return WRONG if found is None else found
        help = "write a range like `60%..100%`, `auto 30%`, or the name of a window"
        context.report.error("TL212", f"`{name}` is a window", value.span, help=help)
        return WRONG
    if field.type == "choice":
        if word in field.choices:
            return word
        help = did_you_mean(word or "", field.choices)
        context.report.error("TL209", f"`{name}` is one of {', '.join(field.choices)}", value.span, help=help)
        return WRONG
    number = bounded(context, scope, value, field, f"`{name}`")
    if number is None:
        return WRONG
    return number if field.type == "number" else int(number)


def _sites(context: Context, scope: Scope, values: tuple[tree.Value, ...]) -> Setting | Wrong:
    found: list[Measured | None] = []
    for value in values:
        match value:
            case tree.Text():
                found.append(glob(context, value))
            case tree.Reference() | tree.SitesParentheses():
                found.append(sites(context, scope, value))
            case _:
                help = "write a name, a quoted glob, or a layer set in parentheses"
                context.report.error("TL212", "this is no layer set", value.span, help=help)
                found.append(None)
    members = tuple(member for member in found if member is not None)
    whole = union(context, values[0], members) if len(members) == len(found) else None
    return WRONG if whole is None else whole.layers
