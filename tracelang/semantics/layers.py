"""Layer sets: which sites of a model a pass may change, worked out down to readings, roles, places and globs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.program import Sites
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.tables import MAX_SITES, MAX_SITES_DEPTH, PLACES, READS, ROLES
from tracelang.syntax import tree


def sites(context: Context, scope: Scope, node: tree.Sites) -> Sites | None:
    """The layer set that an expression means, or None where that is reported."""
    match node:
        case tree.Reference():
            return _named(context, scope, node)
        case tree.Glob():
            return glob(context, node.pattern)
        case tree.SitesParentheses():
            return sites(context, scope, node.inner)
        case tree.SitesIn():
            of = sites(context, scope, node.of)
            places = [place for place in node.places if _is_place(context, place)]
            if of is None or len(places) != len(node.places):
                return None
            return _combined(context, node, "in", (of,), tuple(dict.fromkeys(place.text for place in places)))
        case tree.SitesDifference():
            members = _all(sites(context, scope, member) for member in node.members)
            return None if members is None else _combined(context, node, "difference", members)
        case tree.SitesUnion():
            return union(context, node, _all(sites(context, scope, member) for member in node.members))


def union(context: Context, node: tree.Node, members: tuple[Sites, ...] | None) -> Sites | None:
    """One set of several; unions inside are taken apart, so that no grouping is left that means nothing."""
    if members is None:
        return None
    flat: dict[Sites, None] = {}
    for member in members:
        flat.update(dict.fromkeys(member.members if member.kind == "union" else (member,)))
    return _combined(context, node, "union", tuple(flat)) if len(flat) > 1 else next(iter(flat))


def glob(context: Context, pattern: tree.Text) -> Sites | None:
    """A raw name pattern."""
    if pattern.value.strip():
        return Sites("glob", pattern.value)
    context.report.error("TL213", "an empty pattern matches no layer", pattern.span)
    return None


def primitive(word: str) -> Sites | None:
    """What a word means without a definition: a reading or a role."""
    if word in READS:
        return Sites("reads", word)
    return Sites("role", word) if word in ROLES else None


def _combined(
    context: Context,
    node: tree.Node,
    kind: Literal["in", "difference", "union"],
    members: tuple[Sites, ...],
    places: tuple[str, ...] = (),
) -> Sites | None:
    """A set made of others, inside limits that names leaning on names could pass."""
    size = 1 + sum(member.size for member in members)
    chain = len(members) - 1 if kind == "difference" else 1
    depth = chain + max(member.depth for member in members)
    if size <= MAX_SITES and depth <= MAX_SITES_DEPTH:
        return Sites(kind, members=members, places=places, size=size, depth=depth)
    context.report.error("TL107", "this layer set is too large or too deep, written out", node.span)
    return None


def _named(context: Context, scope: Scope, node: tree.Reference) -> Sites | None:
    word = node.parts[0].text
    if len(node.parts) == 1 and scope.find("layers", word) is None and word not in scope.missing:
        basic = primitive(word)
        if basic is None:
            known = {*READS, *ROLES, *scope.known("layers")}
            help = did_you_mean(word, known)
            if word in PLACES:
                help = f"a place narrows a set: `text in {word}`"
            context.report.error("TL204", f"no layer set or role is called `{word}`", node.span, help=help)
        return basic
    found = find(scope, "layers", node, context.report)
    if found is None:
        return None
    definition, home = found
    assert isinstance(definition, tree.Layers)
    if context.within(definition):  # `layers text = text - "*.to_k"` narrows what `text` is without it
        basic = primitive(word)
        if basic is not None:
            return basic
    if not context.knows(definition, node):
        with context.entering(definition, node) as free:
            if not free:
                return None
            context.done[id(definition)] = sites(context, home, definition.sites)
    meaning: Sites | None = context.done[id(definition)]
    return meaning


def _is_place(context: Context, place: tree.Name) -> bool:
    if place.text in PLACES:
        return True
    help = did_you_mean(place.text, PLACES)
    context.report.error("TL204", f"no place is called `{place.text}`", place.span, help=help)
    return False


def _all(found: Iterable[Sites | None]) -> tuple[Sites, ...] | None:
    """All of them, after each one has been looked at (so that each one's problem is reported)."""
    members = list(found)
    return None if any(member is None for member in members) else tuple(m for m in members if m is not None)
