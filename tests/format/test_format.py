"""The formatter: what it gives is canonical, says the same, and keeps every comment where it belongs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.snippets import snippets
from tracelang.diagnostics import Findings, Source
from tracelang.plan.compile import compile_with_findings
from tracelang.syntax.format import WIDTH, format_text
from tracelang.syntax.parser import parse
from tracelang.syntax.table import GRAMMAR

HERE = Path(__file__).parent
RECIPES = sorted((HERE.parents[1] / "recipes").rglob("*.erase"))
GOOD = [text for folder in ("syntax", "plan") for _, text in snippets(HERE.parent / folder / "good.txt")]
NAMES = ("cat", "x1", "erase", "in", "t", "weight", "names", "as", "on")
TEXTS = ('"cat"', '"a \\"b\\" # {"', '"{}"', '"é"', '""')
NUMBERS = ("0", "1.5", "-2e3", "60")
SPACES = (" ", " ", "\n", "\n\n\n", "\t", "  # a comment\n", "\n# alone\n", " #\n\n")


def formatted(text: str) -> str:
    report = Findings()
    found = format_text(Source("r.erase", text), report)
    assert found is not None, report.findings
    return found


def test_cases() -> None:
    """Pairs of input and output, parted by a line of `---`."""
    cases = snippets(HERE / "cases.txt")
    assert len(cases) >= 40
    for note, text in cases:
        before, _, after = text.partition("\n---\n")
        assert formatted(before).rstrip("\n") == after, note


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_canonical(path: Path) -> None:
    assert formatted(path.read_text()) == path.read_text()


@pytest.mark.parametrize("text", GOOD)
def test_good_recipes_keep_tree_comments_and_digest(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once
    before, _ = compile_with_findings(text, shown="r.erase", root=HERE)
    after, _ = compile_with_findings(once, shown="r.erase", root=HERE)
    assert (before and before.digest) == (after and after.digest)


@cache
def grammar() -> dict[str, list[list[Any]]]:
    from lark import Lark

    lark = Lark(Path(GRAMMAR).read_text("utf-8"), parser="lalr", lexer="contextual", maybe_placeholders=False)
    rules: dict[str, list[list[Any]]] = {}
    for rule in lark.rules:
        rules.setdefault(str(rule.origin.name), []).append(list(rule.expansion))
    return rules | {"%literals": [[{t.name: t.pattern.value for t in lark.terminals}]]}


def derived(draw: Random, symbol: str, depth: int = 0) -> list[str]:
    """The tokens of a random derivation; deep down the shortest way out."""
    rules = grammar()
    if symbol not in rules:
        choice = {"NAME": NAMES, "STRING": TEXTS, "NUMBER": NUMBERS}.get(symbol)
        return [draw.choice(choice) if choice else rules["%literals"][0][0][symbol]]
    if symbol == "name":
        return [draw.choice(NAMES)]
    options = rules[symbol]
    if depth > 14:
        options = [min(options, key=len)]
    return [token for part in draw.choice(options) for token in derived(draw, part.name, depth + 1)]


@given(st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_any_text_of_the_grammar_keeps_its_meaning_and_formats_once(draw: Random) -> None:
    tokens = [token for _ in range(draw.randint(1, 4)) for token in derived(draw, "statement")]
    text = "".join(token + draw.choice(SPACES) for token in tokens)
    if parse(Source("r.erase", text), Findings()) is None:
        return  # a name that stands where only its keyword can
    once = formatted(text)  # checks tree and comments itself
    assert formatted(once) == once
    assert not any(line != line.rstrip() for line in once.splitlines()) and "\n\n\n" not in once


def test_a_generated_corpus_is_mostly_grammatical() -> None:
    """The control of the property above: its texts do parse."""
    draw = Random(1)
    texts = [" ".join(derived(draw, "statement")) for _ in range(200)]
    assert sum(parse(Source("r", text), Findings()) is not None for text in texts) > 100


def test_long_lines_are_filled() -> None:
    names = ", ".join(f'"thing number {i}"' for i in range(40))
    for text in (f'erase {names} toward "x"', f"group g = {names}", f"concept c {{ names {names} }}"):
        assert max(map(len, formatted(text).splitlines())) <= WIDTH


def test_a_syntax_error_is_reported_and_nothing_else() -> None:
    report = Findings()
    assert format_text(Source("r.erase", "erase\n"), report) is None and report.failed


LONG = ", ".join(f'"thing number {i}"' for i in range(12))


@pytest.mark.parametrize(
    "text",
    [
        f'preserve "cats", {LONG}  # tracec: allow TL401 plural is meant\n',
        f'# tracec: allow TL401 plural is meant\npreserve {LONG}, "cats"\n',
        f'# tracec: allow TL401 plural is meant\n# indeed\npreserve {LONG}, "cats"\n',
        'preserve "dogs",\n  "cats",  # tracec: allow TL401 plural is meant\n  "tree"\n',
        '# tracec: allow TL401 plural is meant\npreserve "cats",\n  "dogs"\n',
        f'group g = "dogs",\n  {LONG}, "cats"  # tracec: allow TL401 plural is meant\n',
        f'concept "dogs" {{ names {LONG}, "dogs" }}  # tracec: allow TL501 not yet\n',
    ],
)
def test_an_allowance_speaks_for_what_it_did(text: str) -> None:
    """What `tracec lint` says about a line is neither silenced nor let loose by where its words went."""
    whole = f'erase "cat", "dog"\n{text}'
    assert formatted(whole) == whole
    spaced = whole.replace(", ", " ,   ")
    assert formatted(spaced) == whole
