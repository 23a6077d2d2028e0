"""What a newer recipe promises less than an older one, as findings located in both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from tracelang.diagnostics import Diagnostic, Label, Source, Span
from tracelang.plan import types
from tracelang.plan.changes import terms
from tracelang.plan.contain import layers_hold, window_holds
from tracelang.plan.explain import asserted, bound, erasure, member, number, percent, setting
from tracelang.plan.places import Places
from tracelang.plan.types import Member, Plan
from tracelang.syntax.text import quote

T = TypeVar("T")
LAYERS = types.ReadsSites | types.RoleSites | types.GlobSites | types.InPlaces | types.Difference | types.Union
UNPROVED = "without a model nothing says that the new one covers the old one"


@dataclass(frozen=True, slots=True)
class Version:
    """A plan and where its parts were written; `places` is None for a plan that was read from a plan file.

    `copied`: the folder that its files were copied to for reading, and what messages call that folder.
    """

    plan: Plan
    places: Places | None
    copied: tuple[str, str] = ("", "")

    def written(self, names: Member) -> str:
        return self.places.written(names) if self.places else member(names)

    def names(self, concept: str) -> set[str]:
        return {name.casefold() for name in self.plan.concept(concept).names}


def breaking(before: Version, after: Version) -> list[Diagnostic]:
    """Every promise of `before` that `after` does not make, in the order of a recipe. `after` has places."""
    finds = (_erase, _names, _preserve, _method, _expect)
    return [renamed(finding, *before.copied) for find in finds for finding in find(before, after)]


def renamed(finding: Diagnostic, folder: str, name: str) -> Diagnostic:
    """The finding, with the sources below a folder called by another name."""
    if not folder:
        return finding

    def label(one: Label) -> Label:
        span = one.span
        if not span.source.path.startswith(folder):
            return one
        source = Source(name + span.source.path.removeprefix(folder), span.source.text)
        return replace(one, span=Span(source, span.start, span.end))

    return replace(finding, primary=label(finding.primary), secondary=tuple(map(label, finding.secondary)))


def _finding(code: str, message: str, help: str, here: Span, there: Span | None, was: str, now: str) -> Diagnostic:
    also = (Label(there, f"promised: {was}"),) if there is not None else ()
    return Diagnostic(code, "error", message, Label(here, f"now: {now}" if now else ""), also, help)


def _here(after: Version) -> Places:
    assert after.places is not None
    return after.places


def _erase(before: Version, after: Version) -> Iterator[Diagnostic]:
    for old in before.plan.active:
        name = member(old.targets)
        there = before.places.erased(old.targets) if before.places else None
        covers = _covers(before, after, old.targets, [(one.targets, one) for one in after.plan.active])
        if not covers:
            here = _here(after).erased(old.targets) or _here(after).concept(old.targets[0]) or _here(after).start
            again = f"write `erase {before.written(old.targets)}`"
            yield _finding("TL410", f"{name} is no longer erased", again, here, there, erasure(old), "not erased")
            continue
        new = max(covers, key=lambda one: one.degree)
        if new.degree < old.degree:
            was, now = percent(old.degree), percent(new.degree)
            here = _here(after).erased(new.targets) or _here(after).start
            message = f"{name} is erased to a lower degree: {now} instead of {was}"
            yield _finding("TL411", message, f"write `degree {was}` or more", here, there, f"degree {was}", now)


def _covers(before: Version, after: Version, old: Member, candidates: Iterable[tuple[Member, T]]) -> list[T]:
    """What is about the same: the same concepts or fewer of them together, or a concept that has all the names."""
    found = [(names, one) for names, one in candidates]
    same = [one for names, one in found if set(names) <= set(old)]
    if same or len(old) > 1:
        return same
    return [one for names, one in found if len(names) == 1 and before.names(old[0]) <= after.names(names[0])]


def _names(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Names that a concept had when it was erased or preserved, and that no concept in the same role has now."""
    for was, now, what in (
        ([one.targets for one in before.plan.active], [one.targets for one in after.plan.active], "erased"),
        ([one.concepts for one in before.plan.preserve], [one.concepts for one in after.plan.preserve], "preserved"),
    ):
        known: set[str] = set().union(*(after.names(names[0]) for names in now if len(names) == 1))
        still = {name for names in now for name in names}
        for concept in dict.fromkeys(name for names in was for name in names if name in still):
            old = before.plan.concept(concept)
            gone = [name for name in old.names if name.casefold() not in known | after.names(concept)]
            if gone:
                here = _here(after).concept(concept) or _here(after).start
                there = before.places.concept(concept) if before.places else None
                texts = ", ".join(quote(name) for name in gone)
                has = ", ".join(quote(name) for name in after.plan.concept(concept).names)
                message = f"{member((concept,))} has lost the name{'s' if len(gone) > 1 else ''} {texts}"
                help = f"add {texts} to its `names`"
                yield _finding("TL418", message, help, here, there, f"{texts} {what}", has)


def _preserve(before: Version, after: Version) -> Iterator[Diagnostic]:
    for old in before.plan.preserve:
        name = member(old.concepts)
        there = before.places.preserved(old.concepts) if before.places else None
        covers = _covers(before, after, old.concepts, [(one.concepts, one) for one in after.plan.preserve])
        if not covers:
            here = _here(after).concept(old.concepts[0]) or _here(after).start
            message = f"{name} is no longer preserved"
            again = f"write `preserve {before.written(old.concepts)}`"
            yield _finding("TL416", message, again, here, there, "preserved", "not preserved")
            continue
        new = max(covers, key=lambda one: one.weight)
        if new.weight < old.weight:
            was, now = f"weight {number(old.weight)}", f"weight {number(new.weight)}"
            here = _here(after).preserved(new.concepts) or _here(after).start
            message = f"{name} is preserved with a lower weight: {number(new.weight)} instead of {number(old.weight)}"
            yield _finding("TL417", message, f"write `{was}` or more", here, there, was, now)


def _method(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Windows and layer sets of the passes and terms. A pass or a term that is gone has neither any more."""
    ours, theirs = _reach(before.plan.method), _reach(after.plan.method)
    for address, old in ours.items():
        here = _here(after).setting(after.plan.method.name, address)
        there = before.places.setting(before.plan.method.name, address) if before.places else None
        owner, _, field = address.rpartition(".")
        code, what = ("TL413", "layer set") if field == "on" else ("TL412", "window")
        was = _shown(old)
        if address not in theirs:
            if field != "gate":
                message = f"{after.plan.method.name} has no {owner} any more, so the {what} {was} is gone"
                yield _finding(code, message, f"put {owner} back", here, there, f"{address} = {was}", f"no {owner}")
            continue
        new = theirs[address]
        if not (_layers(new, old) if field == "on" else _window(new, old)):
            now = _shown(new)
            message = f"the {what} {address} is narrower: {now} instead of {was}"
            finding = _finding(code, message, f"write `{address} = {was}`", here, there, was, now)
            unproved = field == "on" or getattr(old, "unit", None) != getattr(new, "unit", None)
            note = UNPROVED if unproved and old is not None else ""
            yield replace(finding, note=note)


def _reach(method: types.Method) -> dict[str, object]:
    """Every layer set and window of a method, by its address."""
    found: dict[str, object] = {}
    for one in method.passes:
        if not isinstance(one, types.FusePass):
            found[f"{one.label}.on"] = one.on
        if isinstance(one, types.SteerPass):
            found[f"{one.label}.gate"] = one.gate
        found.update((f"{one.label}.{term.label}.during", term.during) for term in terms(one))
    return found


def _layers(outer: object, inner: object) -> bool:
    return isinstance(outer, LAYERS) and isinstance(inner, LAYERS) and layers_hold(outer, inner)


def _window(outer: object, inner: object) -> bool:
    windows = [one if isinstance(one, types.Window) else None for one in (outer, inner)]
    return window_holds(*windows)


def _shown(value: object) -> str:
    return setting(value, "none")


def _expect(before: Version, after: Version) -> Iterator[Diagnostic]:
    """An assertion holds on if every member of its set is still under one of the same sort, at least as strict."""
    for old in before.plan.expect:
        alike = [
            one
            for one in after.plan.expect
            if (one.metric, one.attack, one.comparison) == (old.metric, old.attack, old.comparison)
        ]
        there = before.places.asserted(old.metric, old.attack, old.concepts) if before.places else None
        was = f"{asserted(old)} {old.comparison} {bound(old)}"
        gone, looser = [], None
        for names in old.concepts:
            covers = _covers(before, after, names, [(name, one) for one in alike for name in one.concepts])
            if not covers:
                gone.append(names)
                continue
            strictest = (min if old.comparison == "<=" else max)(covers, key=lambda one: one.bound)
            if strictest.bound != old.bound and (strictest.bound > old.bound) == (old.comparison == "<="):
                looser = strictest
        if gone:
            partly = len(gone) < len(old.concepts)
            about = ", ".join(member(names) for names in gone)
            message = f"{old.metric} is no longer asserted of {about}" if partly else f"`{was}` is no longer expected"
            here = _here(after).asserted(old.metric, old.attack, old.concepts) or _here(after).expect
            again = ", ".join(before.written(names) for names in gone)
            help = (
                f"write `{old.metric}({again}{f', {old.attack}' if old.attack else ''}) {old.comparison} {bound(old)}`"
            )
            yield _finding("TL415", message, help, here, there, was, f"nothing about {about}")
        if looser is not None:
            now = f"{asserted(looser)} {looser.comparison} {bound(looser)}"
            here = _here(after).asserted(looser.metric, looser.attack, looser.concepts) or _here(after).expect
            message = f"an expectation is looser: `{now}` instead of `{was}`"
            help = f"write `{old.comparison} {bound(old)}` or a stricter bound"
            yield _finding("TL414", message, help, here, there, was, now)
