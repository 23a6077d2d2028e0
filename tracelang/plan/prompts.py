"""From concepts to prompts: the one expansion that the engine trains on and verification samples from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tracelang.plan.types import Concept, Member, Plan
from tracelang.semantics.prompts import fill, phrases, templates


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt and the words of the concept inside it, verbatim; the empty prompt has an empty phrase."""

    text: str
    phrase: str


EMPTY = Prompt("", "")


def edit_prompts(plan: Plan, member: Member) -> tuple[Prompt, ...]:
    """What the edit works on: every template with every name, or every pairing for `A & B`. Probes never appear."""
    return _fill(_templates(plan, member), wordings(plan, member))


def anchor_prompts(plan: Plan, target: Member, anchor: Member | None) -> tuple[Prompt, ...]:
    """One prompt for each of `edit_prompts(plan, target)`, same template, the anchor's canonical words instead.

    Without an anchor each one is the empty prompt.
    """
    count = len(wordings(plan, target))
    if anchor is None:
        return (EMPTY,) * (count * len(_templates(plan, target)))
    return _fill(_templates(plan, target), (canonical_phrase(plan, anchor),) * count)


def probe_prompts(plan: Plan, member: Member) -> tuple[Prompt, ...]:
    """What only verification sees: every template with every probe (`A & B`: A's probes with B's canonical name)."""
    return _fill(_templates(plan, member), phrases([(c.names[0], c.probes) for c in _concepts(plan, member)]))


def synonyms(plan: Plan, member: Member) -> dict[str, Prompt]:
    """For each text of `edit_prompts(plan, member)` the same template with the next name. Probes never appear."""
    prompts, count = edit_prompts(plan, member), len(wordings(plan, member))
    return {prompt.text: prompts[i - i % count + (i + 1) % count] for i, prompt in enumerate(prompts)}


def wordings(plan: Plan, member: Member) -> tuple[str, ...]:
    """Every name of a member, and of a conjunction every pairing; probes are none."""
    return phrases([(c.names[0], c.names) for c in _concepts(plan, member)])


def canonical_phrase(plan: Plan, member: Member) -> str:
    """The concept's first name; `A and B` for a conjunction."""
    return " and ".join(concept.names[0] for concept in _concepts(plan, member))


def spans(prompt: Prompt) -> list[tuple[int, int]]:
    """Character ranges of the phrase in the text."""
    words = prompt.phrase.split()
    if not words:
        return []
    pattern = r"\s+".join(map(re.escape, words))
    for wrapped in (rf"(?<!\w){pattern}(?!\w)", pattern):
        if found := [match.span() for match in re.finditer(wrapped, prompt.text, re.IGNORECASE)]:
            return found
    raise ValueError(f"the prompt {prompt.text!r} does not hold the phrase {prompt.phrase!r}")


def _concepts(plan: Plan, member: Member) -> list[Concept]:
    return [plan.concept(name) for name in member]


def _templates(plan: Plan, member: Member) -> tuple[str, ...]:
    return templates(_concepts(plan, member))


def _fill(frames: Iterable[str], texts: Iterable[str]) -> tuple[Prompt, ...]:
    words = tuple(texts)
    return tuple(Prompt(fill(frame, word), word) for frame in frames for word in words)
