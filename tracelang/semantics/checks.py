"""What has to hold between the statements of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from tracelang.diagnostics import Label
from tracelang.semantics.concepts import alike, folded
from tracelang.semantics.context import Context
from tracelang.semantics.morphology import bare
from tracelang.semantics.phrases import Phrases, forms, stems_by
from tracelang.semantics.program import Assertion, Erasure, Key, Member, Preservation
from tracelang.semantics.subsets import Subsets
from tracelang.semantics.tables import METRICS
from tracelang.text import joined

if TYPE_CHECKING:
    from tracelang.semantics.doubt import Doubt
    from tracelang.semantics.probes import Leak


def check(
    context: Context,
    erase: list[Erasure],
    kept: list[Preservation],
    expect: list[Assertion],
    unsure: Doubt | None = None,
) -> tuple[Leak, ...]:
    """Report every contradiction between what is erased, what is preserved and what is expected.

    `unsure` is what may be erased beside `erase`. Returns the probes that the edit sees inflected: no contradiction,
    for a rule to judge.
    Whether a recipe contradicts itself depends on no degree: `--set` cannot make a right recipe wrong.
    """
    index = _Erased(context, erase)
    _erased_twice(context, erase, index)
    keys = {key for one in erase for key in one.targets} | {key for one in kept for key in one.concepts}
    foreign = any(not name.isascii() for key in keys for name in context.concepts[key].names)
    _erased_and_preserved(context, kept, _Erased(context, erase, alike) if foreign else index)
    _probes_used_as_names(context, erase, kept)
    inflected = _probes_in_prompts(context, erase, kept)
    _anchors(context, erase)
    _expectations(context, erase, expect, unsure)
    if closed := context.concepts.protected():
        from tracelang.semantics import protected

        protected.check(context.report, context.concepts, closed, erase, kept, expect)
    return inflected


class _Erased:
    """Erasures by the names of all their targets at once."""

    def __init__(self, context: Context, erase: Iterable[Erasure], fold: Callable[[str], str] = folded) -> None:
        self.context = context
        self._fold = fold
        self._names: dict[Key, dict[str, str]] = {}
        self._keys: dict[str, dict[Key, None]] = {}
        erase = list(erase)
        for key in dict.fromkeys(key for one in erase for key in one.targets):
            for name in self.names(key):
                self._keys.setdefault(name, {})[key] = None
        self._by_targets = Subsets((one.targets, one) for one in erase)

    def names(self, key: Key) -> dict[str, str]:
        """A concept's names, as far as they are told apart, with each one as it was written."""
        if key not in self._names:
            self._names[key] = {self._fold(name): name for name in self.context.concepts[key].names}
        return self._names[key]

    def all_names(self, keys: Member) -> dict[str, str]:
        if len(keys) == 1:
            return self.names(keys[0])
        return {name: text for key in keys for name, text in self.names(key).items()}

    def spelt_otherwise(self, one: Erasure, other: Erasure) -> bool:
        """No text of the one is a text of the other, but for targets of both."""
        mine, others = (
            {text for key in a.targets if key not in b.targets for text in self.context.concepts[key].names}
            for a, b in ((one, other), (other, one))
        )
        return mine.isdisjoint(others)

    def keys(self, names: Iterable[str]) -> set[Key]:
        """The targets that have one of these names."""
        return {key for name in names for key in self._keys.get(name, ())}

    def covered(self, names: Collection[str]) -> list[tuple[int, Erasure]]:
        """The erasures of which every target has one of these names, with their places among all.

        First those whose first target has the first name.
        """
        keys = self.keys(names)
        found = self._by_targets.within(keys) if keys else []
        if len(found) > 1:
            place = {name: i for i, name in enumerate(dict.fromkeys(names))}
            found.sort(key=lambda one: min(place[name] for name in self.names(one[1].targets[0]) if name in place))
        return found


def _erased_twice(context: Context, erase: list[Erasure], index: _Erased) -> None:
    """One name under two concepts, in erasures of one size, would count twice, or be erased in two ways at once.

    Spellings of one name ("Cat" and "cat": some encoders tell them apart) are no such case where they go one way.
    """
    for i, one in enumerate(erase):
        names = index.all_names(one.targets)
        if len(index.keys(names)) == len(one.targets):
            continue  # nothing else has a name of theirs
        for place, other in index.covered(names):
            others = index.all_names(other.targets) if place < i and len(other.targets) == len(one.targets) else {}
            if others and all(any(name in others for name in index.names(key)) for key in one.targets):
                shared = next(text for name, text in names.items() if name in others)
                if one.way == other.way and set(names) == set(others) and index.spelt_otherwise(one, other):
                    continue
                message = f'{joined(one.targets)} is erased twice: {joined(other.targets)} has the name "{shared}" too'
                also = [Label(other.span, "first erased here")]
                context.report.error("TL309", message, one.span, also=also, help="keep one of the two")
                break


def _erased_and_preserved(context: Context, kept: list[Preservation], index: _Erased) -> None:
    """A preserved picture may not hold every target of an erasure, under these names or under others of theirs."""
    for one in kept:
        names = index.all_names(one.concepts)
        clash = next((other for _, other in index.covered(names)), None)
        if clash is None:
            continue
        what = joined(one.concepts)
        if clash.targets != one.concepts:
            gone = index.all_names(clash.targets)
            shared = [text for name, text in names.items() if name in gone]
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


def _probes_in_prompts(context: Context, erase: list[Erasure], kept: list[Preservation]) -> tuple[Leak, ...]:
    """A probe of what is erased may not stand in a prompt that the edit uses: it would be trained on and tested on."""
    if context.report.failed or not any(context.concepts[key].probes for one in erase for key in one.targets):
        return ()
    from tracelang.semantics.probes import leaks

    found = tuple(leaks(context.concepts, erase, kept))
    for leak in found:
        if not leak.exact:
            continue
        also = [Label(leak.span, "used here")] if leak.span != leak.concept.span else []
        message = f'the probe "{leak.probe}" of {leak.concept.key} stands in "{leak.prompt}", a prompt of {leak.user}'
        help = "choose another probe, or other words there; a probe is held out from the edit"
        context.report.error("TL302", message, leak.concept.span, also=also, help=help)
    return tuple(leak for leak in found if not leak.exact)


def _anchors(context: Context, erase: list[Erasure]) -> None:
    """What a concept becomes may not hold what goes: its target, or what another statement takes away.

    By its name and by the prompts that the target's templates make of it. Another's names count inflected too; its own
    do not, for what "cats of stone" takes from the cat is a matter of taste.
    """
    anchored = [one for one in erase if one.anchor is not None]
    if not anchored:
        return
    keys = dict.fromkeys(key for one in erase for key in one.targets)
    entries = [(name, key) for key in keys for name in context.concepts[key].names]
    anchors = dict.fromkeys(key for one in anchored for key in one.anchor or () if context.concepts[key].names)
    first = [context.concepts[key].names[0] for key in anchors]
    frames = {text for one in anchored for key in one.targets for text in context.concepts[key].templates}
    table = forms([name for name, _ in entries], (*first, *frames))
    erased = Phrases(entries, stems_by(table))
    by_targets = Subsets((one.targets, one) for one in erase)
    whole: dict[frozenset[Key], list[Erasure]] = {}  # by what stands in an anchor: the erasures that do as a whole
    for one in anchored:
        inside = _inside(context, erased, one)
        if all(key in inside or key in (one.anchor or ()) for key in one.targets) and _own(context, one):
            message = f"the anchor {joined(one.anchor or ())} contains its target {joined(one.targets)}"
            help = "choose an anchor without the target's words, or leave it out"
            context.report.error("TL307", message, one.span, help=help)
            continue
        held = frozenset(inside)
        if held not in whole:
            whole[held] = [other for _, other in by_targets.within(held)]
        clash = next((other for other in whole[held] if other.targets != one.targets), None)
        if clash is not None:
            also = [Label(clash.span, "erased here")]
            name, prompt = inside[clash.targets[0]]
            itself = folded(name) == folded(prompt)
            what = "is erased itself" if itself else f'holds "{name}", which is erased, in "{prompt}"'
            message = f"the anchor {joined(one.anchor or ())} of {joined(one.targets)} {what}"
            help = "choose an anchor that stays, or leave it out"
            context.report.error("TL314", message, one.span, also=also, help=help)


def _own(context: Context, one: Erasure) -> bool:
    """Whether an anchor holds a name of each of its targets as it is written."""
    names = [(name, key) for key in one.targets for name in context.concepts[key].names]
    return {*_inside(context, Phrases(names, bare), one), *(one.anchor or ())}.issuperset(one.targets)


def _inside(context: Context, erased: Phrases[Key], one: Erasure) -> dict[Key, tuple[str, str]]:
    """The erased concepts that stand in an anchor or its prompts, each with the name and the text in which it does."""
    found: dict[Key, tuple[str, str]] = {}
    anchor = [context.concepts[key] for key in one.anchor or () if context.concepts[key].names]
    for text in (concept.names[0] for concept in anchor):
        for name, key in erased.inside(text):
            found.setdefault(key, (name, text))
    targets = [context.concepts[key] for key in one.targets]
    for prompt in erased.prompts(anchor, [concept.names[:1] for concept in anchor], targets) if anchor else ():
        for name, key in erased.inside(prompt):
            found.setdefault(key, (name, prompt))
    return found


def _expectations(context: Context, erase: list[Erasure], expect: list[Assertion], unsure: Doubt | None) -> None:
    erased = {erasure.targets for erasure in erase}
    for one in expect:
        metric = METRICS[one.metric]
        for member in one.concepts:
            what = joined(member)
            if metric.subject == "erased" and member not in erased:
                if unsure is not None and unsure.covers([context.concepts[key] for key in member]):
                    continue
                help = f"erase it, or expect `kept({what})`"
                context.report.error(
                    "TL305", f"`{one.metric}` asks about {what}, which is not erased", one.span, help=help
                )
            elif metric.subject == "spared" and member in erased:
                help = f"expect `shown({what})` instead"
                context.report.error("TL305", f"`{one.metric}` asks about {what}, which is erased", one.span, help=help)
            elif (
                one.metric == "probed" and one.suite is None and not any(context.concepts[key].probes for key in member)
            ):
                help = 'give the concept some: `probes "…"`'
                context.report.error("TL305", f"`probed` asks about {what}, which has no probes", one.span, help=help)
            if metric.source != "weights" and any(context.concepts[key].kind == "protected" for key in member):
                help = "use `residual` or `leak`, which come from the weights"
                needs = "images" if metric.images else "predictions"
                message = f"`{one.metric}` needs {needs} of {what}, which is protected"
                context.report.error("TL306", message, one.span, help=help)
