"""Probes that reach the edit: held-out words that stand in a prompt which the edit uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tracelang.diagnostics import Span
from tracelang.records import dataclass
from tracelang.semantics.merge import Concepts
from tracelang.semantics.morphology import bare
from tracelang.semantics.phrases import Phrases, stems_by
from tracelang.semantics.program import Concept, Erasure, Key, Member, Preservation
from tracelang.semantics.sets import words


@dataclass(frozen=True, slots=True)
class Leak:
    """A probe of an erased concept, and the first prompt that the edit uses and that holds it."""

    probe: str
    concept: Concept
    prompt: str
    user: str
    span: Span


def leaks(
    concepts: Mapping[Key, Concept] | Concepts,
    erase: Iterable[Erasure],
    kept: Iterable[Preservation],
    table: Mapping[str, str] | None,
) -> Iterator[Leak]:
    """Every such probe once, by its words as they are; with a `table` of irregular forms, inflected ones too.

    Only probes of what is erased: no other is ever asked.
    """
    held = {key: None for one in erase for key in one.targets if concepts[key].probes}
    if not held:
        return
    probes = Phrases(
        ((probe, key) for key in held for probe in concepts[key].probes), bare if table is None else stems_by(table)
    )
    seen: set[tuple[str, Key]] = set()
    for member, around, user, span in _users(erase, kept):
        parts = [concepts[key] for key in member]
        texts = None if around is None else [one.names[:1] for one in parts]
        templates = None if around is None else [concepts[key] for key in around]
        for prompt in probes.prompts(parts, texts, templates):
            for probe, key in probes.inside(prompt):
                if (probe, key) not in seen:
                    seen.add((probe, key))
                    yield Leak(probe, concepts[key], prompt, user, span)


def _users(
    erase: Iterable[Erasure], kept: Iterable[Preservation]
) -> Iterator[tuple[Member, Member | None, str, Span]]:
    """The members whose prompts the edit uses; an anchor's stand in its target's templates."""
    for erasure in erase:
        yield erasure.targets, None, words(erasure.targets), erasure.span
        if erasure.anchor is not None:
            user = f"{words(erasure.anchor)}, the anchor of {words(erasure.targets)}"
            yield erasure.anchor, erasure.targets, user, erasure.span
    for one in kept:
        yield one.concepts, None, f"the preserved {words(one.concepts)}", one.span
