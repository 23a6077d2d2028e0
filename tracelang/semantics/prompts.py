"""From a concept's words and templates to prompts: what the plan's prompts are made by, and what the checks look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

PAIRINGS = ("{} and {}", "{} with {}")
JOINING = frozenset(("and", "with"))


class Templates(Protocol):
    """A concept of the program or of the plan."""

    @property
    def templates(self) -> tuple[str, ...]: ...


def templates(concepts: Sequence[Templates]) -> tuple[str, ...]:
    """Those of all the concepts, each once."""
    if len(concepts) == 1:
        return concepts[0].templates
    return tuple(dict.fromkeys(template for concept in concepts for template in concept.templates))


def phrases(parts: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """Each word of each part beside the other parts' canonical names, in both orders: linear in the words."""
    return parts[0][1] if len(parts) == 1 else tuple(dict.fromkeys(_paired(parts)))


def fill(template: str, phrase: str) -> str:
    """The prompt of a template and the words of a concept."""
    return template.replace("{}", phrase)


def _paired(parts: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    rows = list(parts)
    for i, (_, words) in enumerate(rows):
        for word in words:
            row = [word if i == j else canonical for j, (canonical, _) in enumerate(rows)]
            for order in (row, row[::-1]):
                head, last = ", ".join(order[:-1]), order[-1]
                yield from (pairing.format(head, last) for pairing in PAIRINGS)
