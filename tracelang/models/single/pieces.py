"""What a tensor of a single file is under diffusers' names: one tensor, or several, each some of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from tracelang.models.header import Entry

Turn = Literal["", "transposed", "swapped"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor by its name in diffusers and its place in the file. Where `turn` says so, its bytes are not diffusers':
    the matrix is stored transposed, or its two halves of rows the other way round. No matrix that an edit can change is
    turned.
    """

    name: str
    entry: Entry
    turn: Turn = ""


Names = Callable[[str, Entry, int], Iterator[Piece]]
"""The pieces of a stored tensor, by its name without the prefix, its entry, and the one number of the component's
config that the names depend on. None for a tensor that diffusers' model does not have.
"""


def split(entry: Entry, names: Sequence[str], sizes: Sequence[int] | None = None) -> Iterator[Piece]:
    """The rows of a fused matrix or bias, `sizes` each or as many for each name; none where they do not add up.

    Rows are contiguous, so each piece is an entry of its own.
    """
    count = entry.shape[0] if entry.shape else 0
    sizes = sizes or [count // len(names)] * len(names)
    if not count or sum(sizes) != count:
        return
    row = (entry.end - entry.begin) // count
    for name, size, end in zip(names, sizes, accumulate(sizes), strict=True):
        begin = entry.begin + (end - size) * row
        yield Piece(name, replace(entry, shape=(size, *entry.shape[1:]), begin=begin, end=begin + size * row))
