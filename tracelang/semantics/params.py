"""Params: numbers that may be set from outside, inside a closed range."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tracelang.diagnostics import Diagnostic, Label, Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.numbers import worth
from tracelang.semantics.scope import Scope
from tracelang.syntax import tree
from tracelang.syntax.text import plain

GIVEN = "--set"
"""What findings call the place of a value from outside."""
NO_PARAM = "TL208"
_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(%?)"


def params(context: Context, scope: Scope) -> None:
    """Put the author's value of each param of a file into the context."""
    for node in scope.definitions["param"].values():
        assert isinstance(node, tree.Param)
        ends = (node.range.low, node.range.high)
        if node.range.unit is not None or any(end.percent != node.value.percent for end in ends):
            help = "write all three with `%`, or none"
            context.report.error("TL212", "a param and its range are numbers of one sort", node.range.span, help=help)
        elif worth(ends[0]) > worth(ends[1]):
            context.report.error("TL214", "this range runs backwards", node.range.span)
        elif _inside(context, node, node.value):
            context.params[id(node)] = node.value


def overrides(context: Context, scope: Scope, given: Mapping[str, str | float]) -> None:
    """Put the values from outside in their place: `degree`, or `n.degree` for the param of an import.

    A file has its params once, however many ways lead to it.
    """
    known = _settable(scope)
    places: dict[int, Span] = {}
    for name, value in given.items():
        text = _written(known.get(name), value)
        span = Span(Source(GIVEN, f"{name}={text}"), 0, len(name) + 1 + len(text))
        if not plain(span.source.text) or not span.source.text.isprintable():
            from tracelang.syntax.unseen import findings, raw

            hidden = findings(span.source, [raw(span.source.text, 0)])
            context.report.findings += hidden
            if hidden:
                continue
        if not span.source.text.isascii():
            from tracelang.syntax.lookalikes import findings as lookalikes
            from tracelang.syntax.unseen import raw

            context.report.findings += lookalikes(span.source, [raw(span.source.text, 0)])
        node = known.get(name)
        if node is None and (name in scope.missing or scope.lost):
            continue
        if node is None:
            help = did_you_mean(name, known) or "the recipe has no params"
            context.report.error(NO_PARAM, f"no param is called `{name}`", span, help=help)
            continue
        if id(node) in places:
            also = [Label(places[id(node)], "the same one")]
            context.report.error("TL211", f"the param `{name}` is set twice", span, also=also, help="remove one")
            continue
        places[id(node)] = span
        match = re.fullmatch(_NUMBER, text)
        if match is None:
            context.report.error("TL212", "a param is a number or a percentage", span, help=f"--set {name}=60%")
            continue
        number = tree.Number(match[1], bool(match[2]), span=span)
        if number.percent != node.value.percent:
            written = "in percent" if node.value.percent else "without percent"
            help = f"--set {name}={text}%" if node.value.percent else f"--set {name}={number.text}"
            context.report.error("TL212", f"the param `{name}` is written {written}", span, help=help)
        elif _inside(context, node, number):
            context.params[id(node)] = number


def unknown(findings: Iterable[Diagnostic]) -> dict[str, Diagnostic]:
    """The names that are set from outside and that no param has, each with the finding that says so."""
    said = [one for one in findings if one.code == NO_PARAM and one.primary.span.source.path == GIVEN]
    return {one.primary.span.text.partition("=")[0]: one for one in said}


def _written(node: tree.Param | None, value: str | float) -> str:
    """A value as a recipe would write it: from Python, 0.6 is 60% where the param is in percent."""
    if isinstance(value, str):
        return value
    return f"{100 * value:.15g}%" if node is not None and node.value.percent else f"{value:.15g}"


def _settable(scope: Scope) -> dict[str, tree.Param]:
    """Every param that the recipe can name, by the name that it has there."""
    scopes = {"": scope} | {f"{alias}.": source for alias, source in scope.imports.items() if source is not None}
    found = {f"{before}{name}": one.own("param", name) for before, one in scopes.items() for name in one.names("param")}
    return {name: one[0] for name, one in found.items() if one and isinstance(one[0], tree.Param)}


def _inside(context: Context, node: tree.Param, value: tree.Number) -> bool:
    if worth(node.range.low) <= worth(value) <= worth(node.range.high):
        return True
    message = f"`{node.name.text}` is outside its range {node.range.span.text}"
    context.report.error("TL213", message, value.span)
    return False
