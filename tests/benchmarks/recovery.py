"""How many of the mistakes in a file one run finds: `python -m tests.benchmarks.recovery [--files N] [--seed S]`.

Takes valid recipes, the repository's and generated ones, and plants up to six mistakes, one a statement: of syntax (a
token lost, doubled, swapped or strange, a keyword with a slip, a quote or a brace that is gone) and of meaning (an
unknown name, a value out of bounds, a bound of the wrong direction, a file that is not there). Each makes its file
wrong by itself. A mistake is found where an error of the run lies in its statement; every other error, and every
further one in the same statement, is a cascade. Prints both shares, of all and by the sort of mistake, and exits with
1 where less than 95 % are found or more than 5 % of the errors are cascades. Then two slips of syntax in one statement,
apart from one another: in how many both are told.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tracelang.diagnostics import Diagnostic, Findings, Source
from tracelang.semantics.rules.lint import Lint
from tracelang.syntax.parser import parse

TOP = Path(__file__).parents[2]
RECIPES = TOP / "recipes"
FOUND, CASCADES, MOST = 0.95, 0.05, 6

TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[a-z][a-z0-9_]*|-?[0-9]+(?:\.[0-9]+)?|\.\.|<=|>=|[^\s]')
KEYWORD = re.compile(r"^[a-z]+")
STRANGE = [";", "@", "$", "!", "|", "=", ":", "<", "{", ")", "]", "~", "\u201c", "*"]


@dataclass(slots=True)
class Outcome:
    """How many mistakes were planted and found, by sort, and how many errors there were and cascades."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    cascades: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found.total() / max(1, self.planted.total())

    @property
    def cascade_share(self) -> float:
        return self.cascades / max(1, self.errors)


def statements(text: str) -> list[str]:
    """The statements of a valid recipe, without its comments between them."""
    file = parse(Source("<recipe>", text), Findings())
    assert file is not None
    return [one.span.text for one in file.statements]


def generated(chance: random.Random) -> list[str]:
    """A valid recipe of some length with every sort of statement."""
    n = chance.randint(2, 5)
    rows = ["tracelang 1", 'recipe "r" {\n  version = "1"\n  supports = sd1, flux\n  threat = hosted\n}']
    rows += ['import "std/anchors.erase" as anchors', 'from "std/cifar10.erase" import vehicles']
    rows += ["param much = 90% in 0%..100%", 'templates plain = "a photo of {}", "a drawing of {}"']
    rows += ["window late_part = 40%..100%", "layers deep = text in (mid, up)"]
    for i in range(n):
        rows += [
            f'concept c{i}a {{\n  names "thing {i}", "little thing {i}"\n  probes "probe {i}"\n  templates plain\n}}',
            f'concept place{i} kind style {{ names "way of painting {i}" }}',
            f'group g{i} = "dog {i}", "horse {i}", "cow {i}"',
            f"erase c{i}a degree param.much",
            f'erase "boat {i}" toward anchors.person',
            f'erase place{i}, "gun {i}" away',
            f'erase "child {i}" & "beer {i}" degree 80%',
            f'preserve g{i} except "cow {i}" weight 0.5',
            f'preserve "statue {i}", "tree {i}"',
            f"expect over 200 samples seed {i} {{\n  shown(c{i}a) <= 5%\n  kept(g{i}) >= 90%\n}}",
            f'expect {{ attack("boat {i}", ring_a_bell) <= 10% }}',
            f"expect {{ drift(g{i}) <= 0.05 residual(place{i}) <= 20% }}",
        ]
    rows += ["preserve vehicles", "method mine { steer.steps = 300 steer.on = deep steer.push.during = late_part }"]
    rows += ["define method mine = trace { steer.rank = 4 }"]
    head, rest = rows[:1], rows[1:]
    if chance.random() < 0.5:
        chance.shuffle(rest)
    return head + rest


def slips(chance: random.Random, text: str) -> Iterator[tuple[str, str]]:
    """Ways to break the syntax of a statement, by sort, without end."""
    tokens = [match.span() for match in TOKEN.finditer(text)]
    while True:
        at = chance.randrange(len(tokens))
        start, end = tokens[at]
        sort = chance.choice(["lost", "doubled", "swapped", "strange", "keyword", "quote", "brace"])
        if sort == "lost":
            yield sort, text[:start] + text[end:]
        elif sort == "doubled":
            yield sort, text[:end] + " " + text[start:]
        elif sort == "swapped" and at + 1 < len(tokens):
            then, last = tokens[at + 1]
            yield sort, text[:start] + text[then:last] + text[end:then] + text[start:end] + text[last:]
        elif sort == "strange":
            yield sort, text[:end] + " " + chance.choice(STRANGE) + " " + text[end:]
        elif sort == "keyword":
            word = KEYWORD.match(text)
            if word:
                yield sort, _slip(chance, word[0]) + text[word.end() :]
        elif sort in ("quote", "brace"):
            marks = [i for i, letter in enumerate(text) if letter in ('"' if sort == "quote" else "{}()")]
            if marks:
                gone = chance.choice(marks)
                yield sort, text[:gone] + text[gone + 1 :]


MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("name", r"\b(erase|preserve|shown\(|kept\(|drift\(|attack\(|toward) ?([a-z]\w*)", r"\1 \2qx"),
    ("name", r"= ([a-z]\w*)", r"= \1qx"),
    ("name", r"param\.(\w+)", r"param.\1qx"),
    ("name", r"templates (plain)\b(?! =)", r"templates \1qx"),
    ("bound", r"degree [\w.%]+", "degree 140%"),
    ("bound", r"weight [\w.]+", "weight 0"),
    ("bound", r"(<=|>=) [\d.]+%?", r"\1 -3"),
    ("bound", r"over \d+", "over 0"),
    ("bound", r"(rank|steps|ridge|batch) *= [\w.]+", r"\1 = -5"),
    ("direction", r"(shown|attack|drift|residual)(\(.*\)) <=", r"\1\2 >="),
    ("direction", r"(kept)(\(.*\)) >=", r"\1\2 <="),
    ("word", r"kind (\w+)", r"kind \1qx"),
    ("word", r"\b(shown|kept|drift|residual)\(", r"\1qx("),
    ("word", r"ring_a_bell", "ring_a_belqx"),
    ("word", r"^method (\w+)", r"method \1qx"),
    ("word", r"\b(supports|threat|version|summary) =", r"\1qx ="),
    ("word", r"\b(steer|refine|push|keep)\.", r"\1qx."),
    ("window", r"(\d+)%\.\.(\d+)%$", r"\2%..\1%"),
    ("window", r"(\d+)%\.\.", r"1\g<1>0%.."),
    ("file", r'(list|import|from|include) "([^"]+)"', r'\1 "no/\2"'),
    ("template", r"\{\}", "it"),
    ("erased", r'(shown|attack|residual)\(("[^"]*"|\w+)', r'\1("a zebra of glass"'),
)
"""Sorts of mistakes in what a statement means: what is looked for, and what is put there."""


def mistakes(chance: random.Random, text: str) -> list[tuple[str, str]]:
    """Ways to make a statement mean what it may not, by sort."""
    found = []
    for sort, pattern, instead in MEANINGS:
        places = list(re.finditer(pattern, text, re.M))
        if places:
            place = chance.choice(places)
            found.append((sort, text[: place.start()] + place.expand(instead) + text[place.end() :]))
    return found


def _slip(chance: random.Random, word: str) -> str:
    at = chance.randrange(len(word) - 1)
    if chance.random() < 0.5:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[: at + 1] + word[at] + word[at + 1 :]


class Corpus:
    """Valid recipes, and mistakes that make them wrong."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lint = Lint(RECIPES, RECIPES, date(2026, 11, 23))
        paths = [*sorted(RECIPES.glob("*.erase")), *sorted(RECIPES.glob("micro/*.erase"))]
        self.recipes = [statements(path.read_text("utf-8")) for path in paths]
        self.recipes = [one for one in self.recipes if len(one) > 3 and not self.errors("\n".join(one))]

    def errors(self, text: str) -> list[Diagnostic]:
        return [one for one in self.lint.findings(Source("r.erase", text)) if one.severity == "error"]

    def planted(self, rows: list[str], at: int) -> tuple[str, str] | None:
        """A statement with one mistake in it that is found where it is the only one; its sort."""
        chance = self.chance
        ways = mistakes(chance, rows[at])
        for _ in range(20):
            if ways and chance.random() < 0.6:
                sort, text = chance.choice(ways)
            else:
                sort, text = next(slips(chance, rows[at]))
            if text.strip() and text != rows[at] and self.errors("\n".join([*rows[:at], text, *rows[at + 1 :]])):
                return sort, text
        return None

    def run(self, files: int) -> Outcome:
        """Plant mistakes in so many files, and look for them."""
        outcome = Outcome()
        for _ in range(files):
            chance = self.chance
            rows = list(chance.choice(self.recipes) if chance.random() < 0.4 else generated(chance))
            whole = list(rows)
            assert not self.errors("\n".join(rows)), rows
            sorts: dict[int, str] = {}
            for at in chance.sample(range(1, len(rows)), min(chance.randint(1, MOST), len(rows) // 2)):
                made = self.planted(whole, at)
                if made is not None:
                    sorts[at], rows[at] = made
            self._count(rows, sorts, outcome)
        return outcome

    def _count(self, rows: list[str], sorts: dict[int, str], outcome: Outcome) -> None:
        text = "\n".join(rows)
        ends = [sum(len(row) + 1 for row in rows[: i + 1]) for i in range(len(rows))]
        found: Counter[int] = Counter()
        astray = []
        errors = self.errors(text)
        for error in errors:
            places = [label.span.start for label in (error.primary, *error.secondary)]
            rows_of = [next((i for i, end in enumerate(ends) if place < end), len(rows) - 1) for place in places]
            hits = sorted((i for i in rows_of if i in sorts), key=lambda i: found[i])
            hit = hits[0] if hits else None
            if hit is None or found[hit]:
                astray.append(f"{error.location} {error.code} {error.message}")
            if hit is not None:
                found[hit] += 1
        outcome.planted.update(sorts.values())
        outcome.found.update(sort for at, sort in sorts.items() if found[at])
        outcome.errors += len(errors)
        outcome.cascades += len(astray)
        missed = [f"{sort}: {rows[at]}" for at, sort in sorts.items() if not found[at]]
        if astray or missed:
            notes = [f"cascade {one}" for one in astray] + [f"missed {one}" for one in missed]
            outcome.examples.append("\n".join([*(f"{sort}: {rows[at]}" for at, sort in sorts.items()), *notes]))


ANYWHERE = ("lost", "doubled", "swapped", "strange")
APART = 5


def twice(corpus: Corpus, count: int) -> tuple[float, float]:
    """Of statements with two slips of syntax, at least so many tokens apart and each one error by itself: the share of
    those in which both are told, and of errors beyond two.
    """
    chance, told, both, done = corpus.chance, 0, 0, 0
    while done < count:
        text = chance.choice(generated(chance)[1:])
        tokens = [match.span() for match in TOKEN.finditer(text)]
        if len(tokens) < APART + 4:
            continue
        first = chance.randrange(1, len(tokens) - APART - 1)
        then = chance.randrange(first + APART, len(tokens) - 1)
        sorts = chance.choice(ANYWHERE), chance.choice(ANYWHERE)
        one, two = _broken(chance, text, first, sorts[0]), _broken(chance, text, then, sorts[1])
        if _told(one) == _told(two) == 1:
            found = _told(_broken(chance, two, first, sorts[0]))
            done, told, both = done + 1, told + found, both + (found > 1)
    return both / count, max(0, told - 2 * count) / max(1, told)


def _broken(chance: random.Random, text: str, at: int, sort: str) -> str:
    """A statement with a slip of a sort at one of its tokens."""
    (start, end), (then, last) = [match.span() for match in TOKEN.finditer(text)][at : at + 2]
    if sort == "lost":
        return text[:start] + text[end:]
    if sort == "doubled":
        return text[:end] + " " + text[start:]
    if sort == "strange":
        return text[:end] + " " + chance.choice(STRANGE) + " " + text[end:]
    return text[:start] + text[then:last] + text[end:then] + text[start:end] + text[last:]


def _told(text: str) -> int:
    report = Findings()
    parse(Source("<recipe>", text), report)
    return sum(one.severity == "error" for one in report.findings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the first files that fall short")
    options = parser.parse_args()
    corpus = Corpus(options.seed)
    outcome = corpus.run(options.files)
    both, beyond = twice(corpus, options.files)
    for example in outcome.examples[: options.show]:
        print(example + "\n" + "-" * 60)
    print(f"{options.files:,} files, {outcome.planted.total():,} mistakes, {outcome.errors:,} errors")
    for sort, planted in sorted(outcome.planted.items()):
        print(f"  {sort:10} {outcome.found[sort]:6,} of {planted:6,}  {outcome.found[sort] / planted:7.2%}")
    print(f"two slips in one statement: both told in {both:.2%}, errors beyond them {beyond:.2%}; no bar asks for it")
    met = (outcome.recall >= FOUND, outcome.cascade_share <= CASCADES)
    print(f"found     {outcome.recall:7.2%}  >= {FOUND:.0%}  {'met' if met[0] else 'MISSED'}")
    print(f"cascades  {outcome.cascade_share:7.2%}  <= {CASCADES:.0%}  {'met' if met[1] else 'MISSED'}")
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
