"""Things that need several keys at once, found by the keys that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import combinations
from math import comb
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Entry = tuple[int, tuple[str, ...], Thing]


class Subsets(Generic[Thing]):
    """Things by the whole set of keys that each needs.

    A pair set of n members shares one key in all of them: looked up by one key, each member would meet all others.
    """

    def __init__(self, things: Iterable[tuple[Iterable[str], Thing]]) -> None:
        self._whole: dict[int, dict[tuple[str, ...], list[Entry[Thing]]]] = {}
        self._first: dict[int, dict[str, list[Entry[Thing]]]] = {}
        self._count: dict[int, int] = {}
        for order, (keys, thing) in enumerate(things):
            needed = tuple(sorted(set(keys)))
            size, entry = len(needed), (order, needed, thing)
            self._whole.setdefault(size, {}).setdefault(needed, []).append(entry)
            self._first.setdefault(size, {}).setdefault(needed[0], []).append(entry)
            self._count[size] = self._count.get(size, 0) + 1

    def within(self, keys: Collection[str]) -> list[tuple[int, Thing]]:
        """Every thing whose keys are all among these, with its place in the order in which they were given."""
        there = sorted(set(keys))
        found: list[Entry[Thing]] = []
        for size, count in self._count.items():
            if comb(len(there), size) <= count:
                whole = self._whole[size]
                found += [entry for some in combinations(there, size) for entry in whole.get(some, ())]
            else:
                first, known = self._first[size], set(there)
                found += [entry for key in there for entry in first.get(key, ()) if known.issuperset(entry[1])]
        return [(order, thing) for order, _, thing in sorted(found, key=lambda entry: entry[0])]
