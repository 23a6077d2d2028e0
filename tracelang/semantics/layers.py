"""Layer sets: which sites of a model a pass may change, worked out down to readings, roles, places and globs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import dataclass
from tracelang.semantics.context import Context
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.tables import MAX_SITES, MAX_SITES_DEPTH
from tracelang.semantics.values import (
    PLACES,
    READS,
    ROLES,
    Difference,
    GlobSites,
    InPlaces,
    Layers,
    ReadsSites,
    RoleSites,
    Union,
)
from tracelang.syntax import tree


@dataclass(frozen=True, slots=True)
class Measured:
    """A layer set, the count of its parts written out, how deep they nest, and the members that a union has."""

    layers: Layers
    size: int = 1
    depth: int = 1
    members: tuple[Measured, ...] = ()


def sites(context: Context, scope: Scope, node: tree.Sites) -> Measured | None:
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
            inside: Any = tuple(dict.fromkeys(place.text for place in places))
            return _combined(context, node, InPlaces(of.layers, inside), (of,))
        case tree.SitesDifference():
            members = _all(sites(context, scope, member) for member in node.members)
            if members is None:
                return None
            first, *rest = (member.layers for member in members)
            if first in rest:
                context.report.error(
                    "TL213", "a set without itself is no layer", node.span, help="take one of them out"
                )
                return None
            whole = reduce(Difference, rest, first)
            return _combined(context, node, whole, members, len(members) - 1)
        case tree.SitesUnion():
            return union(context, node, _all(sites(context, scope, member) for member in node.members))


def union(context: Context, node: tree.Node, members: tuple[Measured, ...] | None) -> Measured | None:
    """One set of several; unions inside are taken apart, so that no grouping is left that means nothing."""
    if members is None:
        return None
    flat = {part.layers: part for member in members for part in member.members or (member,)}
    if len(flat) == 1:
        return next(iter(flat.values()))
    return _combined(context, node, Union(tuple(flat)), tuple(flat.values()))


def glob(context: Context, pattern: tree.Text) -> Measured | None:
    """A raw name pattern."""
    if pattern.value.strip():
        return Measured(GlobSites(pattern.value))
    context.report.error("TL213", "an empty pattern matches no layer", pattern.span)
    return None


def primitive(word: Any) -> Measured | None:
    """What a word means without a definition: a reading or a role."""
    if word in READS:
        return Measured(ReadsSites(word))
    return Measured(RoleSites(word)) if word in ROLES else None


def _combined(
    context: Context, node: tree.Node, whole: Layers, members: tuple[Measured, ...], chain: int = 1
) -> Measured | None:
    """A set made of others, inside limits that names leaning on names could pass."""
    size = 1 + sum(member.size for member in members)
    depth = chain + max(member.depth for member in members)
    if size <= MAX_SITES and depth <= MAX_SITES_DEPTH:
        return Measured(whole, size, depth, members if isinstance(whole, Union) else ())
    context.report.error("TL107", "this layer set is too large or too deep, written out", node.span)
    return None


def _named(context: Context, scope: Scope, node: tree.Reference) -> Measured | None:
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
    inner = definition.sites
    return context.meaning(definition, node, lambda: sites(context, home, inner))


def _is_place(context: Context, place: tree.Name) -> bool:
    if place.text in PLACES:
        return True
    help = did_you_mean(place.text, PLACES)
    context.report.error("TL204", f"no place is called `{place.text}`", place.span, help=help)
    return False


def _all(found: Iterable[Measured | None]) -> tuple[Measured, ...] | None:
    """All of them, after each one has been looked at (so that each one's problem is reported)."""
    members = list(found)
    return None if any(member is None for member in members) else tuple(m for m in members if m is not None)
