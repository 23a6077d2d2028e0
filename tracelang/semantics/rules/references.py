"""Which names a statement uses, without asking what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tracelang.semantics.fields import Field, settings
from tracelang.semantics.kinds import PASSES, TERMS, declared, kinds
from tracelang.semantics.scope import Sort
from tracelang.syntax import tree

Use = tuple[Sort, tree.Reference]
PARAM = "param"
SORT_OF: dict[str, Sort] = {"window": "window", "sites": "layers"}
"""What a setting of a type names, if its value is a name."""


def leaves(node: tree.Set | tree.Prior) -> Iterator[tree.Text | tree.ListFile | tree.Reference]:
    """The texts, lists and names of a set, in order. A prior's are prompts, of no concept."""
    stack: list[tree.Set] = [] if isinstance(node, tree.Prior) else [node]
    while stack:
        one = stack.pop()
        if isinstance(one, tree.Text | tree.ListFile | tree.Reference):
            yield one
        elif isinstance(one, tree.Parentheses):
            stack.append(one.inner)
        else:
            stack.extend(reversed(one.members))


def uses(node: tree.Statement) -> Iterator[Use]:
    """Every name that a statement uses, with the sort of thing that it has to be."""
    match node:
        case tree.Erase():
            yield from _set(node.set)
            for modifier in node.modifiers:
                if isinstance(modifier, tree.Toward):
                    yield from _set(modifier.set)
                elif isinstance(modifier, tree.Degree):
                    yield from _scalar(modifier.value)
        case tree.Preserve():
            yield from _set(node.set)
            if node.weight:
                yield from _scalar(node.weight.value)
            yield from _body(node.body)
        case tree.Group():
            yield from _set(node.set)
        case tree.Concept():
            for entry in node.entries:
                for item in entry.items if entry.field == "templates" else ():
                    if isinstance(item, tree.Reference):
                        yield "templates", item
        case tree.Templates():
            for item in node.items:
                if isinstance(item, tree.Reference):
                    yield "templates", item
        case tree.Window():
            yield from _window(node.value)
        case tree.Layers():
            yield from _sites(node.sites)
        case tree.Method():
            yield "method", node.name
            yield from _body(node.body)
        case tree.Define():
            if node.base is not None:
                yield "method", node.base
            yield from _body(node.body)
        case tree.Expect():
            for option in node.options:
                yield from _scalar(option.number)
            for one in node.assertions:
                yield from _set(one.arguments)  # a kind of attack is no concept, and does no harm here
                yield from _scalar(one.bound)


def _set(node: tree.Set | tree.Prior) -> Iterator[Use]:
    for leaf in leaves(node):
        if isinstance(leaf, tree.Reference):
            yield "concept", leaf


def _scalar(node: tree.Value) -> Iterator[Use]:
    """`param.degree` uses the param `degree`."""
    if isinstance(node, tree.Reference) and len(node.parts) == 2 and node.parts[0].text == PARAM:
        yield "param", tree.Reference(node.parts[1:], span=node.parts[1].span)


def _window(node: tree.Value) -> Iterator[Use]:
    if isinstance(node, tree.Before):
        node = node.window
    if isinstance(node, tree.Reference):
        yield "window", node


def _sites(node: tree.Sites) -> Iterator[Use]:
    match node:
        case tree.Reference():
            yield "layers", node
        case tree.SitesIn():
            yield from _sites(node.of)
        case tree.SitesParentheses():
            yield from _sites(node.inner)
        case tree.SitesDifference() | tree.SitesUnion():
            for member in node.members:
                yield from _sites(member)


def _body(body: tree.Body | None) -> Iterator[Use]:
    for item in body.items if body else ():
        if isinstance(item, tree.Block):
            if item.on is not None:
                yield from _sites(item.on)
            if item.during is not None:
                yield from _window(item.during)
            yield from _body(item.body)
            continue
        for value in item.values:
            yield from _scalar(value)
            if isinstance(value, tree.SitesParentheses):
                yield from _sites(value)
            elif isinstance(value, tree.Before):
                yield from _window(value)
            elif isinstance(value, tree.Reference) and (sort := _named_by(item.address[-1].text)) is not None:
                yield sort, value


def _named_by(setting: str) -> Sort | None:
    """The sort of thing that a setting takes by name."""
    field = field_called(setting)
    return SORT_OF.get(field.type) if field is not None else None


@cache
def field_called(name: str) -> Field | None:
    """A setting by its name alone, which has one type in every pass and term."""
    for package in (PASSES, TERMS):
        for kind in kinds(package):
            field = settings(declared(package, kind)).get(name)
            if field is not None:
                return field
    return None
