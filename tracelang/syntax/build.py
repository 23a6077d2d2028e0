"""What each rule of the grammar becomes in the tree: one function a rule, in the grammar's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracelang.diagnostics.source import Span
from tracelang.syntax import tree
from tracelang.syntax.text import unquote

Build = Callable[[Span, list[Any]], Any]


def _first(values: list[Any], *types: type) -> Any:
    return next((value for value in values if isinstance(value, types)), None)


def _name(span: Span, values: list[Any]) -> tree.Name:
    return tree.Name(values[0].text, span=span)


def _number(span: Span, values: list[Any]) -> tree.Number:
    return tree.Number(values[0].text, len(values) > 1, span=span)


def _reference(span: Span, values: list[Any]) -> tree.Reference:
    return tree.Reference(tuple(values), span=span)


def _concept(span: Span, values: list[Any]) -> tree.Concept:
    entries = tuple(value for value in values if isinstance(value, tree.Entry))
    kind = _first(values, _Kind)
    return tree.Concept(values[0], kind.name if kind else None, entries, span=span)


def _entry(field: str) -> Build:
    return lambda span, values: tree.Entry(field, values[0], span=span)


def _block(span: Span, values: list[Any]) -> tree.Block:
    label, on, during = (_first(values, kind) for kind in (_Label, _On, _During))
    return tree.Block(
        values[0],
        label.value if label else None,
        on.value if on else None,
        during.value if during else None,
        values[-1],
        span=span,
    )


def _preserve(span: Span, values: list[Any]) -> tree.Preserve:
    return tree.Preserve(values[0], _first(values, tree.Weight), _first(values, tree.Body), span=span)


def _method(span: Span, values: list[Any]) -> tree.Method:
    return tree.Method(values[0], _first(values, tree.Body), span=span)


def _define(span: Span, values: list[Any]) -> tree.Define:
    return tree.Define(values[0], _first(values, tree.Reference), _first(values, tree.Body), span=span)


def _control(span: Span, values: list[Any]) -> tree.Control:
    return tree.Control(values[0], _first(values, tuple) or (), span=span)


def _assertion(span: Span, values: list[Any]) -> tree.Assertion:
    metric, arguments, *clauses, comparison, bound = values
    suite, after = (_first(clauses, kind) for kind in (tree.Suite, tree.After))
    return tree.Assertion(metric, arguments, suite, after, comparison.text, bound, span=span)


def _expect(span: Span, values: list[Any]) -> tree.Expect:
    options = tuple(value for value in values if isinstance(value, tree.Samples | tree.Seed))
    return tree.Expect(options, tuple(values[len(options) :]), span=span)


class _Part:
    """A value on its way to the node that takes it, told from its siblings by its type."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.name = value


class _Kind(_Part): ...


class _Label(_Part): ...


class _On(_Part): ...


class _During(_Part): ...


def _node(node: Callable[..., Any]) -> Build:
    return lambda span, values: node(*values, span=span)


def _collect(node: Callable[..., Any], at: int) -> Build:
    """The values from `at` on become one tuple."""
    return lambda span, values: node(*values[:at], tuple(values[at:]), span=span)


BUILD: dict[str, Build] = {
    "start": lambda span, values: tuple(values),
    "version": _node(tree.Version),
    "recipe": _node(tree.Recipe),
    "import": _node(tree.Import),
    "from_import": _collect(tree.FromImport, 1),
    "include": _node(tree.Include),
    "param": _node(tree.Param),
    "templates": _node(tree.Templates),
    "concept": _concept,
    "kind": lambda span, values: _Kind(values[0]),
    "names": _entry("names"),
    "probes": _entry("probes"),
    "uses": _entry("templates"),
    "texts": lambda span, values: tuple(values),
    "text": lambda span, values: tree.Text(unquote(values[0].text), span=span),
    "list": lambda span, values: tree.ListFile(values[0], *(values[1:] or [None]), span=span),
    "where": _node(tree.Where),
    "group": _node(tree.Group),
    "union": _collect(tree.Union, 0),
    "conjunction": _collect(tree.Conjunction, 0),
    "exception": _collect(tree.Except, 0),
    "parentheses": _node(tree.Parentheses),
    "window": _node(tree.Window),
    "range": lambda span, values: tree.Range(_first(values, tree.Name), *values[-2:], span=span),
    "auto": _node(tree.Auto),
    "before": _node(tree.Before),
    "unit": _name,
    "layers": _node(tree.Layers),
    "sites_union": _collect(tree.SitesUnion, 0),
    "sites_difference": _collect(tree.SitesDifference, 0),
    "sites_in": _node(tree.SitesIn),
    "glob": _node(tree.Glob),
    "sites_parentheses": _node(tree.SitesParentheses),
    "places": lambda span, values: tuple(values),
    "erase": _collect(tree.Erase, 1),
    "toward": _node(tree.Toward),
    "away": _node(tree.Away),
    "degree": _node(tree.Degree),
    "preserve": _preserve,
    "prior": _collect(tree.Prior, 0),
    "weight": _node(tree.Weight),
    "method": _method,
    "define": _define,
    "derived": lambda span, values: values[0],
    "body": _collect(tree.Body, 0),
    "setting": _node(tree.Setting),
    "address": lambda span, values: tuple(values),
    "block": _block,
    "label": lambda span, values: _Label(values[0]),
    "on": lambda span, values: _On(values[0]),
    "during": lambda span, values: _During(values[0]),
    "value": lambda span, values: tuple(values),
    "control": _control,
    "models": lambda span, values: tuple(values),
    "expect": _expect,
    "over": _node(tree.Samples),
    "seed": _node(tree.Seed),
    "assertion": _assertion,
    "suite": _node(tree.Suite),
    "after": _node(tree.After),
    "number": _number,
    "reference": _reference,
    "name": _name,
}
