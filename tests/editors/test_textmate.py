"""The TextMate grammar, run by a TextMate engine, says what the parser says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lark import Lark, Token, Tree
from textmate_grammar.parsers.base import LanguageParser

from tests.test_docs import BLOCKS
from tracelang.syntax import table

ROOT = Path(__file__).parents[2]
VSCODE = ROOT / "grammar" / "editors" / "vscode"
GRAMMAR = json.loads((VSCODE / "syntaxes" / "erase.tmLanguage.json").read_text("utf-8"))

RECIPES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(ROOT.glob("recipes/**/*.erase"))
}
PAGES = {place: text for place, fence, text in BLOCKS if fence == "erase"}
KEYWORDS = {text: name for text, name in table.load().literals.items() if text.isalpha()}


@cache
def lark() -> Lark:
    grammar = Path(table.GRAMMAR).read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", keep_all_tokens=True, maybe_placeholders=False)


@cache
def engine() -> Any:
    return LanguageParser(GRAMMAR)


def scopes(text: str) -> dict[int, str]:
    """The innermost scope of every character that has one, by its offset."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = {}
    for (line, column), content, names in engine().parse_string(text).flatten():
        for i in range(len(content)):
            found[starts[line] + column + i] = names[-1]
    return found


def tokens(text: str) -> Iterator[tuple[Token, bool]]:
    """The parser's tokens, and whether each is a keyword where it stands."""

    def walk(node: Tree[Token]) -> Iterator[tuple[Token, bool]]:
        for child in node.children:
            if isinstance(child, Token):
                yield child, child.type in KEYWORDS.values() and node.data != "name"
            else:
                yield from walk(child)

    return walk(lark().parse(text))


@pytest.mark.parametrize("text", [*RECIPES.values(), *PAGES.values()], ids=[*RECIPES, *PAGES])
def test_it_colours_what_the_parser_reads(text: str) -> None:
    found = scopes(text)
    for token, keyword in tokens(text):
        assert token.start_pos is not None
        word = {found.get(token.start_pos + i, "") for i in range(len(token))}
        where = f"{token!r} in line {token.line} is {word}"
        if token.type == "STRING":
            assert all(one.startswith(("string.", "punctuation.definition.string", "constant.")) for one in word), where
            continue
        assert len(word) == 1, where
        scope = word.pop()
        if keyword:
            assert scope.startswith(("keyword.control", "keyword.other", "storage.type")), where
        elif token.type == "NUMBER":
            assert scope.startswith("constant.numeric"), where
        elif token.type == "NAME" or token.type in KEYWORDS.values():
            assert scope.startswith(("variable.", "entity.name.", "support.")), where
        else:
            marks = ("keyword.operator", "punctuation.", "keyword.other.unit.percent")
            assert scope.startswith(("variable.", "entity.") if token == "." else marks), where


@pytest.mark.parametrize("text", [*RECIPES.values(), *PAGES.values()], ids=[*RECIPES, *PAGES])
def test_comments_are_comments_and_nothing_is_unreadable(text: str) -> None:
    found = scopes(text)
    assert not [one for one in found.values() if one.startswith("invalid")]
    inside = {i for token, _ in tokens(text) for i in range(token.start_pos or 0, token.end_pos or 0)}
    for match in re.finditer(r"#[^\n]*", text):
        if match.start() not in inside:
            last = found[match.end() - 1]  # of an allowance without a reason, its code
            assert "comment" in found[match.start()] and ("comment" in last or last.startswith("constant.")), match[0]


USES = """
tracelang 1
recipe "r" { version = "1" }
import "std/a.erase" as a
from "std/b.erase" import b
include "c.erase"
param p = 100% in 0%..100%
templates plain = "a {}"
concept cat kind object { names "cat" probes "kitty" templates plain }
group g = list "l.csv" column "c" where "d" is "e" except "x"
window w = sigma 0.1..80
window v = logsnr -3..2
window s = auto 30%
window u = t 0..500
layers deep = text in (mid, up)
define method m { steer on text { push as far during w { weight = 1 } } }
erase cat toward "dog" degree 50%
erase "fox" away
preserve g weight 0.5
preserve prior "a {}", list "l.txt" weight 0.1 { sample = 10 }
method m
control never = "a model"
expect over 200 samples seed 0 { shown(cat) on suite "s.csv" as hub after round int8 <= 2% }
"""


def test_every_keyword_of_the_grammar() -> None:
    """Each once where it is a keyword; the list of them is the parser's own."""
    found = scopes(USES)
    used = {str(token): found[token.start_pos or 0] for token, keyword in tokens(USES) if keyword}
    assert used.keys() == KEYWORDS.keys()
    assert all(scope.startswith(("keyword.", "storage.")) for scope in used.values())


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_a_keyword_as_a_name_is_no_keyword(word: str) -> None:
    text = f"window {word} = 0%..1%\nmethod x {{ {word} = 1 a.{word} = 2 }}\nconcept {word} {{ names {word}.{word} }}\n"
    found = scopes(text)
    places = [match.start() for match in re.finditer(rf"\b{word}\b", text)]
    names = [at for at in places if not found[at].startswith(("keyword", "storage"))]
    introducing = sum(word == other for other in ("window", "method", "concept", "names"))
    assert len(names) == len(places) - introducing == 6


@pytest.mark.parametrize(
    ("text", "at", "scope"),
    [
        ('erase "a {} b"', 9, "constant.other.placeholder"),
        (r'erase "\u{1F600}"', 8, "constant.character.escape"),
        (r'erase "\q"', 7, "invalid.illegal.escape"),
        ('erase "cat', 9, "string.quoted"),
        ('erase "cat\npreserve "dog"', 11, "keyword.control"),
        ("erase Cat", 6, "invalid.illegal"),
        ("# tracec: allow TL301 because", 16, "constant.other.code"),
        ("erase x degree 50%", 17, "keyword.other.unit.percent"),
    ],
)
def test_parts(text: str, at: int, scope: str) -> None:
    assert scopes(text)[at].startswith(scope)


def test_the_folder_fits_together() -> None:
    package = json.loads((VSCODE / "package.json").read_text("utf-8"))
    (language,) = package["contributes"]["languages"]
    (grammar,) = package["contributes"]["grammars"]
    assert language["id"] == grammar["language"] and language["extensions"] == [".erase"]
    assert json.loads((VSCODE / grammar["path"]).read_text("utf-8")) == GRAMMAR
    assert grammar["scopeName"] == GRAMMAR["scopeName"] and (VSCODE / "README.md").is_file()
    configuration = json.loads((VSCODE / language["configuration"]).read_text("utf-8"))
    assert configuration["comments"] == {"lineComment": "#"}
    assert re.fullmatch(configuration["wordPattern"], "naked_person")
    rules = configuration["indentationRules"]
    assert re.search(rules["increaseIndentPattern"], 'concept "a" {  # why')
    assert not re.search(rules["increaseIndentPattern"], "# concept {")
    assert re.search(rules["decreaseIndentPattern"], "  }")


def test_every_include_is_there() -> None:
    includes = re.findall(r'"include": "#(\w+)"', json.dumps(GRAMMAR))
    assert set(includes) == set(GRAMMAR["repository"])
