"""What has to hold between the statements of a recipe."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tracelang.diagnostics import Label
from tracelang.semantics.concepts import folded
from tracelang.semantics.context import Context
from tracelang.semantics.program import Assertion, Concept, Erasure, Key, Preservation
from tracelang.semantics.sets import words
from tracelang.semantics.tables import METRICS


def check(context: Context, erase: list[Erasure], kept: list[Preservation], expect: list[Assertion]) -> None:
    """Report every contradiction between what is erased, what is preserved and what is expected.

    Whether a recipe contradicts itself depends on no degree: `--set` cannot make a right recipe wrong.
    """
    _erased_twice(context, erase)
    _erased_and_preserved(context, erase, kept)
    _probes_used_as_names(context, erase, kept)
    _anchors(context, erase)
    _erased_anchors(context, erase)
    _expectations(context, erase, expect)


def _names(context: Context, key: Key) -> dict[str, str]:
    """A concept's names, as a text encoder tells them apart, with each one as it was written."""
    return {folded(name): name for name in context.concepts[key].names}


def _by_first_name(context: Context, erase: Iterable[Erasure]) -> dict[str, list[Erasure]]:
    """Erasures by each name of their first target."""
    found: dict[str, list[Erasure]] = {}
    for one in erase:
        for name in _names(context, one.targets[0]):
            found.setdefault(name, []).append(one)
    return found


def _covers(context: Context, erasure: Erasure, names: Collection[str]) -> bool:
    """Whether every target has one of these names."""
    return all(any(name in names for name in _names(context, key)) for key in erasure.targets)


def _erased_twice(context: Context, erase: list[Erasure]) -> None:
    """One name under two concepts, in two statements of one size, would be erased in two ways at once."""
    index: dict[int, dict[str, list[Erasure]]] = {}
    for size in {len(one.targets) for one in erase}:
        index[size] = _by_first_name(context, (one for one in erase if len(one.targets) == size))
    order = {id(one): i for i, one in enumerate(erase)}
    for i, one in enumerate(erase):
        names = {name: text for key in one.targets for name, text in _names(context, key).items()}
        for other in (other for name in names for other in index[len(one.targets)].get(name, ())):
            if order[id(other)] < i and _covers(context, other, names) and _covers(context, one, _all(context, other)):
                shared = next(text for name, text in names.items() if name in _all(context, other))
                message = f'{words(one.targets)} is erased twice: {words(other.targets)} has the name "{shared}" too'
                also = [Label(other.span, "first erased here")]
                context.report.error("TL309", message, one.span, also=also, help="keep one of the two")
                break


def _all(context: Context, erasure: Erasure) -> set[str]:
    return {name for key in erasure.targets for name in _names(context, key)}


def _erased_and_preserved(context: Context, erase: list[Erasure], kept: list[Preservation]) -> None:
    """A preserved picture may not hold every target of an erasure, under these names or under others of theirs."""
    index = _by_first_name(context, erase)
    for one in kept:
        names = {name: text for key in one.concepts for name, text in _names(context, key).items()}
        clash = next((e for name in names for e in index.get(name, ()) if _covers(context, e, names)), None)
        if clash is None:
            continue
        what = words(one.concepts)
        if clash.targets != one.concepts:
            shared = [text for name, text in names.items() if name in _all(context, clash)]
            what = " & ".join(f'"{text}"' for text in shared[: len(clash.targets)])
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


def _erased_anchors(context: Context, erase: list[Erasure]) -> None:
    """Moving one concept toward another that goes too would bring back what the other statement takes away."""
    index = _by_first_name(context, erase)
    for one in erase:
        names = {folded(context.concepts[key].names[0]) for key in one.anchor or () if context.concepts[key].names}
        gone = (other for name in names for other in index.get(name, ()) if other is not one)
        clash = next((other for other in gone if _covers(context, other, names)), None)
        if clash is not None and one.anchor is not None:
            also = [Label(clash.span, "erased here")]
            message = f"the anchor {words(one.anchor)} of {words(one.targets)} is erased itself"
            help = "choose an anchor that stays, or leave it out"
            context.report.error("TL314", message, one.span, also=also, help=help)


def _within(target: Concept, keys: Iterable[Key], anchors: list[Concept]) -> bool:
    if target.key in keys:
        return True
    texts = [folded(text) for anchor in anchors for text in anchor.names[:1]]
    return any(contains(text, folded(name)) for name in target.names for text in texts)


def contains(text: str, name: str) -> bool:
    """Whether a text has a name in it as whole words."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not _inside_word(text[:at][-1:], name[:1]) and not _inside_word(name[-1:], text[end : end + 1]):
            return True
        at = text.find(name, at + 1)
    return False


def _inside_word(left: str, right: str) -> bool:
    return all(one.isalnum() or one == "_" for one in (left, right))


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
