"""One of the two versions that are compared, and what all findings about them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from tracelang.diagnostics import Diagnostic, Label, Source, Span
from tracelang.plan.explain import member
from tracelang.plan.places import Places
from tracelang.plan.types import Member, Plan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Version:
    """A plan and where its parts were written; `places` is None for a plan that was read from a plan file.

    `copied`: the folder that its files were copied to for reading, and what messages call that folder.
    """

    plan: Plan
    places: Places | None
    copied: tuple[str, str] = ("", "")

    @property
    def here(self) -> Places:
        """The places of a version that has them, as the newer one does."""
        assert self.places is not None
        return self.places

    def written(self, names: Member) -> str:
        return self.places.written(names) if self.places else member(names)

    def names(self, concept: str) -> set[str]:
        return {name.casefold() for name in self.plan.concept(concept).names}


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


def less(code: str, message: str, help: str, here: Span, there: Span | None, was: str, now: str) -> Diagnostic:
    """The finding that at `here` stands `now`, less than what `was` promised at `there`."""
    also = (Label(there, f"promised: {was}"),) if there is not None else ()
    return Diagnostic(code, "error", message, Label(here, f"now: {now}" if now else ""), also, help)


def within(before: Version, after: Version, names: Member, old: Member) -> bool:
    """Is what the newer version has under `names` about what `old` was, or about fewer of these concepts together?

    A concept of a set is still there under its own name, or under another that has all its names.
    """
    if set(names) <= set(old):
        return True
    if len(old) == 1:
        return False
    held = {concept: before.names(concept) for concept in old}
    return all(name in held or any(texts <= after.names(name) for texts in held.values()) for name in names)


def weakest(
    before: Version, after: Version, old: Member, candidates: Iterable[tuple[Member, T]], strength: Callable[[T], float]
) -> T | None:
    """What holds of all that `old` is: the strongest about the same, or name by name, and of those the weakest.

    A name that nothing has is a finding of its own where a concept of the same name is still there.
    """
    found = list(candidates)
    same = [one for names, one in found if within(before, after, names, old)]
    if len(old) > 1:
        return max(same, key=strength, default=None)
    single = [(after.names(names[0]), one) for names, one in found if len(names) == 1]
    best = [
        max((one for names, one in single if name in names), key=strength, default=None)
        for name in sorted(before.names(old[0]))
    ]
    held = [one for one in best if one is not None]
    if len(held) < len(best) and not same:
        return None
    return min(held or same, key=strength)
