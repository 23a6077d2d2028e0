"""Which token states an edit maps, and which state of the anchor each one is mapped to.

The first states of a sequence, before its content (CLIP's start token), are the same for every prompt and carry much
of the attention: no choice ever includes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracelang.models.protocol import TokenLayout
from tracelang.plan.types import Tokens

Pairs = tuple[tuple[int, int], ...]
"""Row of the target's states, row of the anchor's."""

SINGLE: Pairs = ((0, 0),)
"""The pairing of an input that has one state a prompt (a pooled vector)."""


def positions(choice: Tokens, layout: TokenLayout) -> tuple[int, ...]:
    """The rows that `choice` selects, ascending.

    `phrase`: the concept's own tokens; `last`: the last of them; `tail`: every state that has read the whole phrase,
    which is from there through end and padding, and all of them where a text encoder reads both ways;
    `context`: everything else, words around the phrase, end and padding, which absorb its meaning; `all`: both.
    """
    everything = range(layout.start, layout.length)
    match _meant(choice, layout):
        case "phrase":
            return layout.phrase
        case "last":
            return layout.phrase[-1:]
        case "tail":
            return tuple(range(layout.phrase[-1], layout.length))
        case "context":
            return tuple(row for row in everything if row not in layout.phrase)
        case "all":
            return tuple(everything)


def align(choice: Tokens, target: TokenLayout, anchor: TokenLayout) -> Pairs:
    """Pairs of rows `(target, anchor)`, ascending in the target.

    An anchor without a phrase is the neutral state ∅, position by position; the caller sees to it that no other anchor
    comes without one, as where a prompt was cut off. Otherwise phrases align from their last
    tokens backwards (a longer target repeats the anchor's first), `tail` from the phrases' last tokens onwards until
    the shorter sequence ends (docs/methods.md §2.4), and `context` before and after the phrases apart.
    """
    if not anchor.phrase:
        return tuple((row, row) for row in positions(choice, target) if row < anchor.length)
    return _ALIGN[_meant(choice, target)](target, anchor)


def _meant(choice: Tokens, layout: TokenLayout) -> Tokens:
    return "all" if choice == "tail" and not layout.causal else choice


def _phrase(target: TokenLayout, anchor: TokenLayout) -> Pairs:
    surplus = len(target.phrase) - len(anchor.phrase)
    return tuple((row, anchor.phrase[max(0, i - surplus)]) for i, row in enumerate(target.phrase))


def _last(target: TokenLayout, anchor: TokenLayout) -> Pairs:
    return ((target.phrase[-1], anchor.phrase[-1]),)


def _tail(target: TokenLayout, anchor: TokenLayout) -> Pairs:
    return _together(range(target.phrase[-1], target.length), range(anchor.phrase[-1], anchor.length))


def _context(target: TokenLayout, anchor: TokenLayout) -> Pairs:
    before = _together(range(target.start, target.phrase[0]), range(anchor.start, anchor.phrase[0]))
    after = _together(range(target.phrase[-1] + 1, target.length), range(anchor.phrase[-1] + 1, anchor.length))
    return before + after


def _all(target: TokenLayout, anchor: TokenLayout) -> Pairs:
    return tuple(sorted(_phrase(target, anchor) + _context(target, anchor)))


def _together(target: Sequence[int], anchor: Sequence[int]) -> Pairs:
    return tuple(zip(target, anchor, strict=False))


_ALIGN: dict[Tokens, Callable[[TokenLayout, TokenLayout], Pairs]] = {
    "phrase": _phrase,
    "last": _last,
    "tail": _tail,
    "context": _context,
    "all": _all,
}
