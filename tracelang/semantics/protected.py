"""What a recipe calls protected, and which texts speak of it: the one notion that the compiler and all drawing share.

A text speaks of a protected concept where all words of one of its names, or of its probes, stand in it side by side,
in their order and as whole words, inflected or not; case, spacing, punctuation, accents and width aside. Little words
between them do not part them ("naked, with a child"), nor do up to two others where no punctuation does ("naked small
child"). A possessive speaks of its owner: "a naked child's body" is of a naked child. The recipe's words decide: "naked
child" says nothing of "a child's toy".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from tracelang.diagnostics import Findings, Label, Span
from tracelang.semantics.irregular import stem, stems
from tracelang.semantics.merge import Concepts
from tracelang.semantics.morphology import LITTLE, tokens
from tracelang.semantics.phrases import Phrases
from tracelang.semantics.program import Assertion, Concept, Erasure, Key, Member, Preservation
from tracelang.semantics.tables import METRICS
from tracelang.text import joined

STOP = re.compile(r"[,;:.!?()\[\]|/\n\u3001\u3002\uff0c\u060c]")
"""What parts words that do not stand side by side."""
AMID = 2
"""So many other words may stand between two words of a name."""


class Guard:
    """The words that nobody may draw, each with the concept that they are of."""

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self.phrases: Phrases[str] = Phrases(named, _said)

    def of(self, text: str) -> str | None:
        """The protected concept that a text speaks of, if any."""
        found = self.phrases.inside(text)
        if not found:
            for stretch in STOP.split(text):
                found = found or self.phrases.inside(stretch, AMID)
        return found[0][1] if found else None

    def refuse(self, texts: Iterable[str], error: type[Exception]) -> None:
        """Raise `error` where one of the texts speaks of what is protected: they were to be drawn."""
        for text in texts:
            concept = self.of(text)
            if concept is not None:
                raise error(f"the prompt {text!r} speaks of {concept}, which the recipe protects: nobody may draw it")


def _said(text: str) -> tuple[str, ...]:
    """The words of a text without inflection and without little words, unless it has no others."""
    return tuple([stem(word) for word in tokens(text) if word not in LITTLE]) or stems(text)


def check(
    report: Findings,
    concepts: Concepts,
    protected: Sequence[Concept],
    erase: Iterable[Erasure],
    kept: Iterable[Preservation],
    expect: Iterable[Assertion],
) -> None:
    """Report every statement from which prompts would be made, for drawing or training, that speak of the protected.

    What a recipe erases or preserves is drawn wherever it is verified, whatever it expects.
    """
    guard = Guard((text, one.key) for one in protected for text in (*one.names, *one.probes))
    closed = {one.key for one in protected}
    seen: set[Member] = set()
    for what, member, span in _drawn(erase, kept, expect):
        if member in seen or not closed.isdisjoint(member):
            continue
        seen.add(member)
        parts = [concepts[key] for key in member]
        made = (*guard.phrases.prompts(parts), *guard.phrases.prompts(parts, [one.probes for one in parts]))
        _report(report, guard, concepts, made, f"{joined(member)}, which is {what}", span)
    for erasure in erase:
        _anchor(report, guard, concepts, closed, erasure)


def _drawn(
    erase: Iterable[Erasure], kept: Iterable[Preservation], expect: Iterable[Assertion]
) -> Iterator[tuple[str, Member, Span]]:
    """Every member of which a picture or a trajectory may be made."""
    for erasure in erase:
        yield "erased", erasure.targets, erasure.span
    for one in kept:
        yield "preserved", one.concepts, one.span
    for assertion in expect:
        if METRICS[assertion.metric].source != "weights":
            for member in assertion.concepts:
                yield f"asked about by `{assertion.metric}`", member, assertion.span


def _anchor(report: Findings, guard: Guard, concepts: Concepts, closed: set[Key], erasure: Erasure) -> None:
    """What stands in a target's place is drawn where that was asked for, so it may not be protected either."""
    if erasure.anchor is None:
        return
    anchor = [concepts[key] for key in erasure.anchor]
    if not closed.isdisjoint(erasure.anchor):
        what = joined(erasure.anchor)
        message = f"the anchor {what} is protected, and would be drawn where {joined(erasure.targets)} is asked for"
        report.error("TL306", message, erasure.span, help="choose an anchor that anyone may draw, or leave it out")
        return
    targets = [concepts[key] for key in erasure.targets]
    first = [one.names[:1] for one in anchor]
    made: Iterable[str] = guard.phrases.prompts(anchor, first, around=targets)
    if not closed.isdisjoint(erasure.targets):  # the target's own templates may make up its name: none is drawn
        made = (" and ".join(text for names in first for text in names),)
    what = f"{joined(erasure.anchor)}, the anchor of {joined(erasure.targets)}"
    _report(report, guard, concepts, made, what, erasure.span)


def _report(report: Findings, guard: Guard, concepts: Concepts, made: Iterable[str], what: str, span: Span) -> None:
    for prompt in made:
        key = guard.of(prompt)
        if key is not None:
            also = [Label(concepts[key].span, "protected here")]
            message = f'the prompt "{prompt}" of {what}, speaks of {key}, which is protected'
            help = f"nobody may draw it: make these words names of {key}, or choose others"
            report.error("TL306", message, span, also=also, help=help)
            return
