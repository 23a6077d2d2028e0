"""Sets of concepts: `except` binds tightest, then `&`, then the comma."""

from __future__ import annotations

from itertools import product
from math import prod

from tracelang.diagnostics import Label
from tracelang.diagnostics.diagnostic import nearest
from tracelang.semantics.concepts import alike, declared, implicit
from tracelang.semantics.context import Context
from tracelang.semantics.program import Member
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.tables import MAX_MEMBERS
from tracelang.syntax import tree
from tracelang.text import joined

Members = tuple[Member, ...]
MAX_NEAR = 2_000
"""In a larger set no near name is sought: that takes as long as it has members."""


def members(context: Context, scope: Scope, node: tree.Set) -> Members | None:
    """The members of a set, each once, in order; None where some part is reported."""
    match node:
        case tree.Text():
            key = implicit(context, scope, node.value, node)
            return None if key is None else ((key,),)
        case tree.ListFile():
            return _list(context, scope, node)
        case tree.Reference():
            return _named(context, scope, node)
        case tree.Parentheses():
            return members(context, scope, node.inner)
        case tree.Union():
            _no_comma_after_except(context, node)
            parts = _parts(context, scope, node.members)
            return None if parts is None else tuple(dict.fromkeys(member for part in parts for member in part))
        case tree.Conjunction():
            return _conjunction(context, scope, node)
        case tree.Except():
            return _difference(context, scope, node)


def _parts(context: Context, scope: Scope, nodes: tuple[tree.Set, ...]) -> list[Members] | None:
    found = [members(context, scope, node) for node in nodes]
    return None if any(part is None for part in found) else [part for part in found if part is not None]


def _list(context: Context, scope: Scope, node: tree.ListFile) -> Members | None:
    texts = context.lists.texts(scope.place, node)
    if texts is None:
        return None
    keys = [implicit(context, scope, text, node) for text in texts]
    return tuple(dict.fromkeys((key,) for key in keys if key is not None))


def _named(context: Context, scope: Scope, node: tree.Reference) -> Members | None:
    found = find(scope, "concept", node, context.report)
    if found is None:
        return None
    definition, home = found
    if isinstance(definition, tree.Concept):
        return ((declared(context, home, definition),),)
    assert isinstance(definition, tree.Group)
    inner = definition.set
    return context.meaning(definition, node, lambda: members(context, home, inner))


def _conjunction(context: Context, scope: Scope, node: tree.Conjunction) -> Members | None:
    parts = _parts(context, scope, node.members)
    if parts is None:
        return None
    if prod(len(part) for part in parts) > MAX_MEMBERS:
        context.report.error("TL213", f"this set has more than {MAX_MEMBERS:,} members", node.span)
        return None
    found: dict[Member, None] = {}
    for row in product(*parts):
        keys = [key for member in row for key in member]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            message = f"`&` needs different concepts: {twice} stands on both sides"
            context.report.error("TL311", message, node.span, help="`A & B` is A and B in one picture")
            return None
        found[tuple(sorted(keys))] = None
    return tuple(found)


def _difference(context: Context, scope: Scope, node: tree.Except) -> Members | None:
    parts = _parts(context, scope, node.members)
    if parts is None:
        return None
    left = dict.fromkeys(parts[0])
    spelt: dict[Member, list[Member]] = {}
    for member in left:
        spelt.setdefault(_alike(member), []).append(member)
    for part, written in zip(parts[1:], node.members[1:], strict=True):
        for member in part:
            taken = spelt.pop(_alike(member), None)
            if taken is None:
                also = [Label(node.members[0].span, "not a member of this")]
                message = f"{joined(member)} is not in the set that it is taken from"
                near = nearest(joined(member), map(joined, left)) if len(left) <= MAX_NEAR else ""
                help = f"did you mean {near}?" if near else "remove it, or correct its name"
                context.report.error("TL222", message, written.span, also=also, help=help)
                return None
            for one in taken:
                del left[one]
    if not left:
        context.report.error("TL222", "nothing is left of this set", node.span)
        return None
    return tuple(left)


def _alike(member: Member) -> Member:
    """What a member has in common with other spellings of it, as `TL301` tells them: case and accents aside."""
    return tuple(sorted(alike(key) if key[0] == '"' else key for key in member))


def _no_comma_after_except(context: Context, node: tree.Union) -> None:
    """`a except b, c` reads like `a except (b, c)` and means `(a except b), c`: parentheses have to say which."""
    for part in node.members[:-1]:
        last = part.members[-1] if isinstance(part, tree.Conjunction) else part
        if isinstance(last, tree.Except):
            help = f"write `({last.span.text}), …` or `{last.members[0].span.text} except (…, …)`"
            context.report.error("TL221", "a comma after `except` can be read in two ways", last.span, help=help)
