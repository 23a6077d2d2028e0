"""What a `preserve prior` statement means. Its settings stand in its block, `weight` where every `preserve` has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracelang.diagnostics import Label, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import replace
from tracelang.semantics.context import Context
from tracelang.semantics.fields import settings
from tracelang.semantics.numbers import bounded
from tracelang.semantics.prior import Prior, sampled
from tracelang.semantics.program import Held
from tracelang.semantics.scope import Scope
from tracelang.semantics.settings import Wrong, setting
from tracelang.syntax import tree

WEIGHT = "weight"


def prior(context: Context, scope: Scope, node: tree.Preserve) -> Held | None:
    """The meaning of the statement; None, reported, where there is an error."""
    given = _given(context, scope, node.set.items) if isinstance(node.set, tree.Prior) else ()
    values = _settings(context, scope, node)
    if given is None or values is None:
        return None
    found = Prior(**values)
    if isinstance(node.set, tree.Prior):
        found = replace(found, kind="given", prompts=sampled(given, found.sample, found.seed))
    return Held(found, node.set.span)


def once(context: Context, found: Iterable[Held]) -> list[Held]:
    """Each prior once; two of the same prompts with other settings are reported."""
    held: dict[tuple[str, ...], Held] = {}
    for one in found:
        first = held.setdefault(one.prior.prompts, one)
        if first.prior != one.prior:
            also = [Label(first.span, "first preserved here")]
            message = "this prior is preserved twice, in two ways"
            context.report.error("TL309", message, one.span, also=also, help="keep one of the two")
    return [held[prompts] for prompts in sorted(held)]


def _given(context: Context, scope: Scope, items: tuple[tree.Text | tree.ListFile, ...]) -> list[str] | None:
    found: list[str] = []
    for item in items:
        if isinstance(item, tree.ListFile):
            texts = context.lists.texts(scope.place, item)
            if texts is None:
                return None
            found += texts
        elif item.value.strip():
            found.append(item.value)
        else:
            context.report.error("TL213", "an empty text is no prompt", item.span)
            return None
    return found


def _settings(context: Context, scope: Scope, node: tree.Preserve) -> dict[str, Any] | None:
    fields = settings(Prior)
    found: dict[str, Any] = {}
    weight = bounded(context, scope, node.weight.value, fields[WEIGHT], "`weight`") if node.weight else None
    if node.weight:
        found[WEIGHT] = weight
    places: dict[str, Span] = {}
    for item in node.body.items if node.body else ():
        name = item.name.text if isinstance(item, tree.Block) else ".".join(part.text for part in item.address)
        known = [one for one in fields if one != WEIGHT]
        if isinstance(item, tree.Block) or name not in known:
            help = "write `weight` before the block" if name == WEIGHT else did_you_mean(name, known)
            context.report.error("TL206", f"a prior has no setting `{name}`", item.span, help=help)
            found[name] = None
        elif name in places:
            also = [Label(places[name], "first set here")]
            context.report.error("TL211", f"`{name}` is set twice", item.span, also=also, help="remove one")
        else:
            places[name] = item.span
            value = setting(context, scope, fields[name], item)
            found[name] = None if isinstance(value, Wrong) else value
    return None if None in found.values() else found
