"""What has to hold between the statements of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tracelang.diagnostics import Label
from tracelang.semantics.concepts import folded
from tracelang.semantics.context import Context
from tracelang.semantics.program import Assertion, Concept, Erasure, Key, Preservation
from tracelang.semantics.sets import words
from tracelang.semantics.tables import METRICS


def check(context: Context, erase: list[Erasure], kept: list[Preservation], expect: list[Assertion]) -> None:
    """Report every contradiction between what is erased, what is preserved and what is expected."""
    _erased_and_preserved(context, erase, kept)
    _probes_used_as_names(context, erase, kept)
    _anchors(context, erase)
    _expectations(context, erase, expect)


def _erased_and_preserved(context: Context, erase: list[Erasure], kept: list[Preservation]) -> None:
    erased = {erasure.targets: erasure for erasure in erase}
    texts = {
        text: erasure
        for erasure in erase
        if len(erasure.targets) == 1
        for text in context.concepts[erasure.targets[0]].names
    }
    for one in kept:
        clash = erased.get(one.concepts)
        what = words(one.concepts)
        if clash is None and len(one.concepts) == 1:
            shared = next((text for text in context.concepts[one.concepts[0]].names if text in texts), None)
            if shared is not None:
                clash, what = texts[shared], f'"{shared}"'
        if clash is not None:
            also = [Label(clash.span, "erased here")]
            help = "take it out of one of the two, for instance with `except`"
            context.report.error("TL301", f"{what} is both erased and preserved", one.span, also=also, help=help)


def _probes_used_as_names(context: Context, erase: list[Erasure], kept: list[Preservation]) -> None:
    """A probe of one concept must not reach the edit as a name of another, case and spacing aside."""
    keys: dict[Key, None] = {}
    for erasure in erase:
        keys.update(dict.fromkeys((*erasure.targets, *(erasure.anchor or ()))))
    for one in kept:
        keys.update(dict.fromkeys(one.concepts))
    named = {folded(text): context.concepts[key] for key in keys for text in context.concepts[key].names}
    for key in keys:
        concept = context.concepts[key]
        for probe in concept.probes:
            other = named.get(folded(probe))
            if other is not None and other is not concept:
                also = [Label(other.span, "a name here")]
                message = f'the probe "{probe}" of {key} is also a name of {other.key}'
                help = "remove one of them; a probe is held out from the edit"
                context.report.error("TL302", message, concept.span, also=also, help=help)


def _anchors(context: Context, erase: list[Erasure]) -> None:
    for erasure in erase:
        if erasure.anchor is None:
            continue
        targets = [context.concepts[key] for key in erasure.targets]
        anchors = [context.concepts[key] for key in erasure.anchor]
        if all(_within(target, erasure.anchor, anchors) for target in targets):
            message = f"the anchor {words(erasure.anchor)} contains its target {words(erasure.targets)}"
            help = "choose an anchor without the target's words, or leave it out"
            context.report.error("TL307", message, erasure.span, help=help)


def _within(target: Concept, keys: Iterable[Key], anchors: list[Concept]) -> bool:
    if target.key in keys:
        return True
    texts = [text for anchor in anchors for text in anchor.names[:1]]
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in target.names for text in texts)


def _expectations(context: Context, erase: list[Erasure], expect: list[Assertion]) -> None:
    erased = {erasure.targets for erasure in erase}
    for one in expect:
        metric = METRICS[one.metric]
        for member in one.concepts:
            what = words(member)
            if metric.subject == "erased" and member not in erased:
                help = f"erase it, or expect `kept({what})`"
                context.report.error(
                    "TL305", f"`{one.metric}` asks about {what}, which is not erased", one.span, help=help
                )
            elif metric.subject == "spared" and member in erased:
                help = f"expect `shown({what})` instead"
                context.report.error("TL305", f"`{one.metric}` asks about {what}, which is erased", one.span, help=help)
            elif one.metric == "probed" and not any(context.concepts[key].probes for key in member):
                help = 'give the concept some: `probes "…"`'
                context.report.error("TL305", f"`probed` asks about {what}, which has no probes", one.span, help=help)
            if metric.images and any(context.concepts[key].kind == "protected" for key in member):
                help = "use `residual`, `leak` or `drift`, which draw nothing"
                message = f"`{one.metric}` needs images of {what}, which is protected"
                context.report.error("TL306", message, one.span, help=help)
