"""Probes that reach the edit: held-out words that stand in a prompt which the edit uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tracelang.diagnostics import Span
from tracelang.records import dataclass
from tracelang.semantics.merge import Concepts
from tracelang.semantics.morphology import bare
from tracelang.semantics.phrases import Phrases, forms, stems_by
from tracelang.semantics.program import Concept, Erasure, Key, Member, Preservation
from tracelang.text import joined


@dataclass(frozen=True, slots=True)
class Leak:
    """A probe of an erased concept, and the first prompt of the edit that holds it: `exact`, or inflected."""

    probe: str
    concept: Concept
    prompt: str
    user: str
    exact: bool
    span: Span


def leaks(concepts: Concepts, erase: Sequence[Erasure], kept: Sequence[Preservation]) -> Iterator[Leak]:
    """Every such probe once, and once inflected. Only probes of what is erased: no other is ever asked."""
    held = {key: None for one in erase for key in one.targets if concepts[key].probes}
    if not held:
        return
    entries = [(probe, key) for key in held for probe in concepts[key].probes]
    used = {key: None for one in erase for key in (*one.targets, *(one.anchor or ()))}
    used |= {key: None for one in kept for key in one.concepts}
    texts = [name for key in used for name in concepts[key].names]
    frames = {template for key in used for template in concepts[key].templates}
    probes = Phrases(entries, stems_by(forms((probe for probe, _ in entries), (*texts, *frames))))
    seen: set[tuple[str, Key, bool]] = set()
    for member, around, user, span in _users(erase, kept):
        parts = [concepts[key] for key in member]
        first = None if around is None else [one.names[:1] for one in parts]
        templates = None if around is None else [concepts[key] for key in around]
        for prompt in probes.prompts(parts, first, templates):
            for probe, key in probes.inside(prompt):
                exact = _spaced(probe) in _spaced(prompt)
                if (probe, key, exact) not in seen:
                    seen.add((probe, key, exact))
                    yield Leak(probe, concepts[key], prompt, user, exact, span)


def _spaced(text: str) -> str:
    """The words of a text as they are, each between blanks, so that whole words are found in it."""
    return f" {' '.join(bare(text))} "


def _users(erase: Iterable[Erasure], kept: Iterable[Preservation]) -> Iterator[tuple[Member, Member | None, str, Span]]:
    """The members whose prompts the edit uses; an anchor's stand in its target's templates."""
    for erasure in erase:
        yield erasure.targets, None, joined(erasure.targets), erasure.span
        if erasure.anchor is not None:
            user = f"{joined(erasure.anchor)}, the anchor of {joined(erasure.targets)}"
            yield erasure.anchor, erasure.targets, user, erasure.span
    for one in kept:
        yield one.concepts, None, f"the preserved {joined(one.concepts)}", one.span
