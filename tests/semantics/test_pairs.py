"""Pair sets: the checks find what looking at every two statements finds, in work that grows with their number."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from tracelang.diagnostics import Findings, Label, Source, Span
from tracelang.semantics import checks
from tracelang.semantics.concepts import folded
from tracelang.semantics.morphology import REGULAR, lemmas
from tracelang.semantics.program import Concept, Erasure, Key, Preservation
from tracelang.semantics.rules.lint import Lint
from tracelang.semantics.rules.preserved_name import clashes
from tracelang.semantics.subsets import Subsets
from tracelang.text import joined

SOURCE = Source("r.erase", " " * 1000)


class Oracle:
    """The checks as they were: by one name of the first target, every candidate looked at."""

    def __init__(self, concepts: dict[Key, Concept]) -> None:
        self.concepts = concepts
        self.report = Findings()

    def names(self, key: Key) -> dict[str, str]:
        return {folded(name): name for name in self.concepts[key].names}

    def by_first_name(self, erase: Iterable[Erasure]) -> dict[str, list[Erasure]]:
        found: dict[str, list[Erasure]] = {}
        for one in erase:
            for name in self.names(one.targets[0]):
                found.setdefault(name, []).append(one)
        return found

    def covers(self, erasure: Erasure, names: Collection[str]) -> bool:
        return all(any(name in names for name in self.names(key)) for key in erasure.targets)

    def all(self, erasure: Erasure) -> set[str]:
        return {name for key in erasure.targets for name in self.names(key)}

    def common(self, one: Erasure, other: Erasure) -> set[str]:
        mine = {text for key in {*one.targets} - {*other.targets} for text in self.concepts[key].names}
        return mine & {text for key in {*other.targets} - {*one.targets} for text in self.concepts[key].names}

    def erased_twice(self, erase: list[Erasure]) -> None:
        sizes = {len(one.targets) for one in erase}
        index = {n: self.by_first_name(one for one in erase if len(one.targets) == n) for n in sizes}
        order = {id(one): i for i, one in enumerate(erase)}
        for i, one in enumerate(erase):
            names = {name: text for key in one.targets for name, text in self.names(key).items()}
            for other in (other for name in names for other in index[len(one.targets)].get(name, ())):
                if order[id(other)] < i and self.covers(other, names) and self.covers(one, self.all(other)):
                    one_way = (one.anchor, one.away, one.degree) == (other.anchor, other.away, other.degree)
                    if one_way and self.all(other) == names.keys() and not self.common(one, other):
                        continue  # spellings of one name
                    shared = next(text for name, text in names.items() if name in self.all(other))
                    twice = f"{joined(one.targets)} is erased twice"
                    message = f'{twice}: {joined(other.targets)} has the name "{shared}" too'
                    also = [Label(other.span, "first erased here")]
                    self.report.error("TL309", message, one.span, also=also, help="keep one of the two")
                    break

    def erased_and_preserved(self, erase: list[Erasure], kept: list[Preservation]) -> None:
        index = self.by_first_name(erase)
        for one in kept:
            names = {name: text for key in one.concepts for name, text in self.names(key).items()}
            clash = next((e for name in names for e in index.get(name, ()) if self.covers(e, names)), None)
            if clash is None:
                continue
            what = joined(one.concepts)
            if clash.targets != one.concepts:
                shared = [text for name, text in names.items() if name in self.all(clash)]
                what = " & ".join(f'"{text}"' for text in shared[: len(clash.targets)])
            also = [Label(clash.span, "erased here")]
            help = "take it out of one of the two, for instance with `except`"
            self.report.error("TL301", f"{what} is both erased and preserved", one.span, also=also, help=help)

    def anchors(self, erase: list[Erasure]) -> Iterator[tuple[str, Span, Span | None]]:
        """The code, the statement and the other one of every anchor that holds what goes."""
        for one in erase:
            texts = [self.concepts[key].names[0] for key in one.anchor or ()]
            held = {key for text in texts for erasure in erase for key in erasure.targets if self._holds(text, key)}
            other = next((e for e in erase if e.targets != one.targets and held.issuperset(e.targets)), None)
            if one.anchor is not None and {*held, *one.anchor}.issuperset(one.targets):
                yield "TL307", one.span, None
            elif other is not None:
                yield "TL314", one.span, other.span

    def _holds(self, text: str, key: Key) -> bool:
        said = lemmas(text)
        names = [lemmas(name) for name in self.concepts[key].names]
        return any(said[i : i + len(name)] == name for name in names for i in range(len(said)))


def inside(erase: list[Erasure], concepts: dict[Key, Concept], text: str) -> Iterator[tuple[Key, str, Erasure]]:
    """Erasures whose targets all have a name in a text, as whole words, under their first target."""
    said = lemmas(text)
    starts = [said[i:] for i in range(len(said))]
    found: dict[Key, str] = {}
    for rest in starts:
        for end in range(1, len(rest) + 1):
            for erasure in erase:
                for key in erasure.targets:
                    for name in concepts[key].names:
                        if lemmas(name) == rest[:end]:
                            found.setdefault(key, name)
    for key in found:
        for erasure in erase:
            if erasure.targets[0] == key and all(one in found for one in erasure.targets):
                yield key, found[key], erasure


def random_recipe(chance: random.Random) -> tuple[dict[Key, Concept], list[Erasure], list[Preservation]]:
    """Concepts that share names, erased and preserved alone, in pairs and in threes."""
    pool = [f"word{letter}" for letter in "abcdefgh"[: chance.randint(2, 8)]] + ["Worda", "worda  wordb"]
    keys = [f"c{i}" for i in range(chance.randint(2, 7))]
    few = chance.choice([1, 2, 3])
    concepts = {}
    for i, key in enumerate(keys):
        names = tuple(dict.fromkeys(chance.choice(pool) for _ in range(chance.randint(1, few))))
        concepts[key] = Concept(key, "object", names, (), (), Span(SOURCE, i, i + 1))

    def member() -> tuple[Key, ...]:
        return tuple(sorted(chance.sample(keys, min(len(keys), chance.choice([1, 1, 2, 2, 3])))))

    gone = list(dict.fromkeys(member() for _ in range(chance.randint(1, 8))))
    erase = [
        Erasure(targets, member() if chance.random() < 0.5 else None, False, 1.0, Span(SOURCE, 100 + i, 101 + i))
        for i, targets in enumerate(gone)
    ]
    held = list(dict.fromkeys(member() for _ in range(chance.randint(0, 6))))
    return concepts, erase, [Preservation(one, 1.0, Span(SOURCE, 200 + i, 201 + i)) for i, one in enumerate(held)]


def recipes(seed: int) -> Iterator[tuple[Any, Oracle, list[Erasure], list[Preservation]]]:
    """Random recipes, each with a context and an oracle to report to."""
    chance = random.Random(seed)
    for _ in range(150):
        concepts, erase, kept = random_recipe(chance)
        yield SimpleNamespace(concepts=concepts, report=Findings()), Oracle(concepts), erase, kept


@pytest.mark.parametrize("seed", range(20))
def test_the_checks_find_what_looking_at_all_pairs_finds(seed: int) -> None:
    codes = set()
    for context, oracle, erase, kept in recipes(seed):
        index = checks._Erased(context, erase)
        checks._erased_twice(context, erase, index)
        checks._erased_and_preserved(context, kept, index)
        oracle.erased_twice(erase)
        oracle.erased_and_preserved(erase, kept)
        assert context.report.findings == oracle.report.findings
        codes |= {one.code for one in oracle.report.findings}
    assert codes == {"TL301", "TL309"}


@pytest.mark.parametrize("seed", range(10))
def test_so_does_the_check_of_anchors(seed: int) -> None:
    codes = set()
    for context, oracle, erase, _ in recipes(seed):
        checks._anchors(context, erase)
        found = [
            (one.code, one.primary.span, one.secondary[0].span if one.secondary else None)
            for one in context.report.findings
        ]
        assert found == list(oracle.anchors(erase))
        codes |= {code for code, *_ in found}
    assert codes == {"TL307", "TL314"}


@pytest.mark.parametrize("seed", range(10))
def test_so_does_the_rule_about_preserved_texts(seed: int) -> None:
    for context, _, erase, kept in recipes(seed):
        concepts = context.concepts
        program: Any = SimpleNamespace(concepts=concepts, erase=erase, preserve=kept)
        subject: Any = SimpleNamespace(program=program, forms=REGULAR)
        found = [(one.preserved, one.gone.key, one.erased, one.erasure) for one in clashes(subject)]
        names = [name for one in kept for key in one.concepts for name in concepts[key].names]
        assert found == [(name, *rest) for name in names for rest in inside(erase, concepts, name)]


@pytest.mark.parametrize("seed", range(5))
def test_subsets(seed: int) -> None:
    chance = random.Random(seed)
    letters = "abcdefghij"
    for _ in range(200):
        things = [chance.sample(letters, chance.randint(1, 6)) for _ in range(chance.randint(0, 40))]
        keys = chance.sample(letters, chance.randint(0, 10))
        wanted = [(i, i) for i, thing in enumerate(things) if set(thing) <= set(keys)]
        assert Subsets((thing, i) for i, thing in enumerate(things)).within(keys) == wanted


def work(folder: Path, text: str) -> int:
    """How many lines of Python a lint runs: a measure of time that is the same on every machine."""
    lint = Lint(folder, folder, date(2026, 1, 1))
    lines = 0

    def step(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return step

    lint.findings(Source("r.erase", text))  # what is loaded but once is not counted
    before = sys.gettrace()
    sys.settrace(step)
    try:
        lint.findings(Source("r.erase", text))
    finally:
        sys.settrace(before)
    return lines


def pairs(folder: Path, count: int, name: str = "thing {}") -> str:
    (folder / "things.txt").write_text("".join(name.format(i) + "\n" for i in range(count)))
    return 'tracelang 1\nerase "child" & list "things.txt"\npreserve "dog"\nexpect { kept("dog") >= 90% }'


@pytest.mark.parametrize("name", ["thing {}", "child {}"])
def test_a_pair_set_costs_in_proportion_to_its_members(tmp_path: Path, name: str) -> None:
    small, large = (work(tmp_path, pairs(tmp_path, count, name)) for count in (100, 400))
    assert large < 4.4 * small


def test_so_does_a_set_of_three_groups(tmp_path: Path) -> None:
    def text(size: int) -> str:
        groups = (", ".join(f'"{letter}{i}"' for i in range(size)) for letter in "abc")
        return f'erase {" & ".join(f"({group})" for group in groups)}\npreserve "dog"'

    small, large = (work(tmp_path, text(size)) for size in (5, 10))
    assert large < 8.8 * small


def test_so_do_synonyms(tmp_path: Path) -> None:
    """Concepts that share a name: the case that the index cannot tell apart by their keys."""

    def text(count: int) -> str:
        said = [f'concept c{i} {{ names "thing {i}", "thing {i + 1}" }}' for i in range(count)]
        return "\n".join([*said, *(f'erase "child" & c{i}' for i in range(count)), 'preserve "dog"'])

    small, large = (work(tmp_path, text(count)) for count in (100, 400))
    assert large < 4.4 * small
