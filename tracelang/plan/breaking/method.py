"""What the method promises: its passes and terms, their windows and layer sets, and the settings that say how much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from tracelang.diagnostics import Diagnostic
from tracelang.plan.breaking.version import Version, less
from tracelang.plan.contain import layers_hold, window_holds
from tracelang.plan.explain import setting
from tracelang.semantics.fields import Field, settings
from tracelang.semantics.kinds import Pass, Term

Step = TypeVar("Step", bound=Pass | Term)

UNPROVED = "without a model nothing says that the new one covers the old one"


def method(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Passes and terms that are gone, and those that do less. What came besides is not looked at."""
    for old, new in _matched(before.plan.method.passes, after.plan.method.passes):
        if new is None:
            yield _gone(before, after, old.label, old.label)
            continue
        yield from _weaker(before, after, old, new, old.label, new.label)
        promised = [term for term in old.terms if term.weight > 0]
        for term, other in _matched(promised, new.terms):
            address = f"{old.label}.{term.label}"
            if other is None:
                yield _gone(before, after, address, new.label)
            else:
                yield from _weaker(before, after, term, other, address, f"{new.label}.{other.label}")


def _matched(before: Iterable[Step], after: Iterable[Step]) -> Iterator[tuple[Step, Step | None]]:
    """Each with its namesake of the same kind; one whose label is gone, with one of its kind whose label is new."""
    ours, theirs = list(before), list(after)
    same = {one.label: one for one in theirs if (one.kind, one.label) in {(old.kind, old.label) for old in ours}}
    fresh = [one for one in theirs if same.get(one.label) is not one]
    for old in ours:
        new = same.get(old.label)
        if new is None:
            new = next((one for one in fresh if one.kind == old.kind), None)
            if new is not None:
                fresh.remove(new)
        yield old, new


def _gone(before: Version, after: Version, address: str, within: str) -> Diagnostic:
    name = after.plan.method.name
    here = after.here.setting(name, within)
    there = before.places.setting(before.plan.method.name, address) if before.places else None
    return less("TL420", f"{name} has no {address} any more", f"put {address} back", here, there, address, "gone")


def _weaker(
    before: Version, after: Version, old: Pass | Term, new: Pass | Term, ours: str, theirs: str
) -> Iterator[Diagnostic]:
    """The settings of a pass or a term, at the addresses `ours` and `theirs`, that do less than they did."""
    for name, field in settings(old).items():
        was, now = getattr(old, name), getattr(new, name)
        found = _compared(field, was, now)
        if found is None:
            continue
        code, message, again, note = found
        here = after.here.setting(after.plan.method.name, f"{theirs}.{name}")
        there = before.places.setting(before.plan.method.name, f"{ours}.{name}") if before.places else None
        address = f"{theirs}.{name}"
        help = f"write `{address} = {_shown(was)}`{again}"
        message = f"{message.format(address)}: {_shown(now)} instead of {_shown(was)}"
        yield replace(less(code, message, help, here, there, _shown(was), _shown(now)), note=note)


def _compared(field: Field, was: Any, now: Any) -> tuple[str, str, str, str] | None:
    """Code, message, what may be written besides, and a note, where a setting does less now."""
    if field.type == "window" and not window_holds(now, was):
        return "TL412", "the window {} is narrower", "", UNPROVED if _apart(was, now) else ""
    if field.type == "sites" and not layers_hold(now, was):
        return "TL413", "the layer set {} is narrower", "", UNPROVED
    if field.holds and was not in (now, *field.holds.get(now, ())):
        return "TL419", "{} leaves out states that it took", "", ""
    if field.type == "choices":
        return None if set(was) <= set(now) else ("TL419", "{} leaves out some that it had", "", "")
    if field.more and now < was:
        return "TL419", "{} is lower", " or more", ""
    return None


def _apart(was: Any, now: Any) -> bool:
    """Whether two windows meet on a model alone."""
    return bool(was and now) and getattr(was, "unit", None) != getattr(now, "unit", None)


def _shown(value: object) -> str:
    return setting(value, "none")
