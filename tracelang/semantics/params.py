"""Params: numbers that may be set from outside, inside a closed range."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tracelang.diagnostics import Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.numbers import worth
from tracelang.semantics.scope import Scope
from tracelang.syntax import tree

_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(%?)")


def params(context: Context, scope: Scope, given: Mapping[str, str]) -> None:
    """Put the value of each param into the context: the one from outside, else the author's."""
    defined = {name: node for name, node in scope.definitions["param"].items() if isinstance(node, tree.Param)}
    for name, node in defined.items():
        ends = (node.range.low, node.range.high)
        if node.range.unit is not None or any(end.percent != node.value.percent for end in ends):
            help = "write all three with `%`, or none"
            context.report.error("TL212", "a param and its range are numbers of one sort", node.range.span, help=help)
            continue
        if worth(ends[0]) > worth(ends[1]):
            context.report.error("TL214", "this range runs backwards", node.range.span)
            continue
        if _inside(context, node, node.value):
            context.params[name] = node.value
    for name, text in given.items():
        span = Span(Source("--set", f"{name}={text}"), 0, len(name) + 1 + len(text))
        if name not in defined:
            help = did_you_mean(name, defined) or "the recipe has no params"
            context.report.error("TL208", f"no param is called `{name}`", span, help=help)
            continue
        match = _NUMBER.fullmatch(text)
        if match is None:
            context.report.error("TL212", "a param is a number or a percentage", span, help=f"--set {name}=60%")
            continue
        value = tree.Number(match[1], bool(match[2]), span=span)
        if value.percent != defined[name].value.percent:
            written = "in percent" if defined[name].value.percent else "without percent"
            context.report.error("TL212", f"the param `{name}` is written {written}", span)
        elif _inside(context, defined[name], value):
            context.params[name] = value


def _inside(context: Context, node: tree.Param, value: tree.Number) -> bool:
    if worth(node.range.low) <= worth(value) <= worth(node.range.high):
        return True
    message = f"`{node.name.text}` is outside its range {node.range.span.text}"
    context.report.error("TL213", message, value.span)
    return False
