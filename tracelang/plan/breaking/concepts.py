"""What is erased and preserved: concepts, degrees, weights, names and probes."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic
from tracelang.plan.breaking.version import Version, covers, less
from tracelang.plan.explain import erasure, member, number, percent
from tracelang.syntax.text import quote


def erase(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Targets that are erased no longer, or to a lower degree."""
    for old in before.plan.active:
        name = member(old.targets)
        there = before.places.erased(old.targets) if before.places else None
        found = covers(before, after, old.targets, [(one.targets, one) for one in after.plan.active])
        if not found:
            here = after.here.erased(old.targets) or after.here.concept(old.targets[0]) or after.here.start
            again = f"write `erase {before.written(old.targets)}`"
            yield less("TL410", f"{name} is no longer erased", again, here, there, erasure(old), "not erased")
            continue
        new = max(found, key=lambda one: one.degree)
        if new.degree < old.degree:
            was, now = percent(old.degree), percent(new.degree)
            here = after.here.erased(new.targets) or after.here.start
            message = f"{name} is erased to a lower degree: {now} instead of {was}"
            yield less("TL411", message, f"write `degree {was}` or more", here, there, f"degree {was}", now)


def names(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Names that a concept had when it was erased or preserved, and that no concept in the same role has now."""
    for was, now, what in (
        ([one.targets for one in before.plan.active], [one.targets for one in after.plan.active], "erased"),
        ([one.concepts for one in before.plan.preserve], [one.concepts for one in after.plan.preserve], "preserved"),
    ):
        known: set[str] = set().union(*(after.names(names[0]) for names in now if len(names) == 1))
        still = {name for names in now for name in names}
        for concept in dict.fromkeys(name for names in was for name in names if name in still):
            texts = before.plan.concept(concept).names
            gone = [text for text in texts if text.casefold() not in known | after.names(concept)]
            if gone:
                yield _lost(before, after, concept, "name", gone, f"{_list(gone)} {what}")


def probes(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Texts held out to test an erased concept, that test no erased concept now and are no name of one either."""
    erased = dict.fromkeys(name for one in after.plan.active for name in one.targets)
    known: set[str] = set().union(*(after.names(name) for name in erased))
    known |= {text.casefold() for name in erased for text in after.plan.concept(name).probes}
    for old in before.plan.active:
        found = covers(before, after, old.targets, [(one.targets, one.targets) for one in after.plan.active])
        for concept in old.targets if found else ():
            now = concept if concept in erased else found[0][0] if len(old.targets) == 1 else ""
            gone = [text for text in before.plan.concept(concept).probes if text.casefold() not in known]
            if gone and now:
                yield _lost(before, after, concept, "probe", gone, f"{_list(gone)} held out", now)
            known.update(text.casefold() for text in gone)  # a concept may be part of several targets


def _lost(
    before: Version, after: Version, concept: str, field: str, gone: list[str], was: str, now: str = ""
) -> Diagnostic:
    """A finding about texts of a concept that the newer version of it, `now`, does not have."""
    now = now or concept
    here = after.here.concept(now) or after.here.start
    there = before.places.concept(concept) if before.places else None
    code = {"name": "TL418", "probe": "TL422"}[field]
    message = f"{member((concept,))} has lost the {field}{'s' if len(gone) > 1 else ''} {_list(gone)}"
    has = _list(getattr(after.plan.concept(now), f"{field}s")) or f"no {field}s"
    return less(code, message, f"add {_list(gone)} to its `{field}s`", here, there, was, has)


def _list(texts: list[str] | tuple[str, ...]) -> str:
    return ", ".join(quote(text) for text in texts)


def preserve(before: Version, after: Version) -> Iterator[Diagnostic]:
    """What is preserved no longer, or with a lower weight."""
    for old in before.plan.preserve:
        name = member(old.concepts)
        there = before.places.preserved(old.concepts) if before.places else None
        found = covers(before, after, old.concepts, [(one.concepts, one) for one in after.plan.preserve])
        if not found:
            here = after.here.concept(old.concepts[0]) or after.here.start
            message = f"{name} is no longer preserved"
            again = f"write `preserve {before.written(old.concepts)}`"
            yield less("TL416", message, again, here, there, "preserved", "not preserved")
            continue
        new = max(found, key=lambda one: one.weight)
        if new.weight < old.weight:
            was, now = f"weight {number(old.weight)}", f"weight {number(new.weight)}"
            here = after.here.preserved(new.concepts) or after.here.start
            message = f"{name} is preserved with a lower weight: {number(new.weight)} instead of {number(old.weight)}"
            yield less("TL417", message, f"write `{was}` or more", here, there, was, now)
