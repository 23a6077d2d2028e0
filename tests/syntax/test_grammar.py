"""One grammar, one table: what ships is what `erase.lark` says, and Lark itself agrees with how it is driven."""

from __future__ import annotations

from pathlib import Path

import pytest
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from tests.snippets import snippets
from tracelang.diagnostics import Findings, Source
from tracelang.syntax import table
from tracelang.syntax.parser import parse
from tracelang.syntax.tree import Method

HERE = Path(__file__).parent
GOOD = [text for _, text in snippets(HERE / "good.txt")]
GOOD += [path.read_text("utf-8") for path in sorted(HERE.parents[1].glob("recipes/**/*.erase"))]
BAD = [text for _, text in snippets(HERE / "bad.txt") if "\\" not in text]
KEYWORDS = sorted(text for text in table.load().literals if text.isalpha())


@pytest.fixture(scope="module")
def lark() -> Lark:
    grammar = Path(table.GRAMMAR).read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", strict=True, maybe_placeholders=False)


def accepts(text: str) -> bool:
    return parse(Source("x", text), Findings()) is not None


def test_the_table_is_current() -> None:
    assert Path(table.TABLE).read_text("utf-8") == table.dump(table.build()), "run python -m tracelang.syntax.table"


def test_every_mark_has_a_name() -> None:
    assert not any("__ANON" in name for name in table.load().literals.values())


def shape(node: Tree[Token] | Token) -> object:
    return str(node) if isinstance(node, Token) else (str(node.data), [shape(child) for child in node.children])


@pytest.mark.parametrize("text", GOOD)
def test_lark_takes_what_we_take(lark: Lark, text: str) -> None:
    assert accepts(text)
    assert shape(lark.parse(text))


@pytest.mark.parametrize("text", BAD)
def test_lark_refuses_what_we_refuse(lark: Lark, text: str) -> None:
    assert not accepts(text)
    with pytest.raises(UnexpectedInput):
        lark.parse(text)


POSITIONS = (
    'concept {k} kind object {{ names "x" templates {k}, {k}.{k} }}',
    "group {k} = {k} & {k} except {k}, {k}.{k}, ({k})",
    "erase {k} toward {k} degree {k}.{k}",
    "erase {k} away erase {k}",
    "preserve {k} weight {k} preserve {k}",
    "templates {k} = {k}, {k} templates {k} = {k}",
    "window {k} = {k} window {k} = {k}.{k}",
    "layers {k} = {k} in {k} - {k}, ({k} in ({k}, {k})) layers {k} = {k}",
    "param {k} = 1 in 0..2 param {k} = 1% in 0%..2%",
    'import "x" as {k} from "x" import {k}, {k} include "x"',
    'method {k} method {k}.{k} {{ {k} = {k} {k}.{k} = {k}.{k} {k} = 3 {k} = "x", {k} {k} = ({k} in {k}) }}',
    "define method {k} = {k} {{ {k}.{k}.{k} = 1%..2% {k} = t 1..2 }}",
    "define method {k} {{ {k} as {k} on {k} during {k} {{ {k} as {k} {{}} {k} during {k} {{}} }} }}",
    "define method {k} {{ {k} {{ {k} on {k}, {k} {{}} {k} = {k} }} }}",
    "expect over 3 samples seed 1 {{ {k}({k}) <= 1 {k}({k}, {k}) >= {k} {k}({k}) <= {k}.{k} }}",
    'recipe "x" {{ {k} = {k}, {k} {k} = "x" }}',
)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_keyword_is_a_name_everywhere(keyword: str, position: str) -> None:
    text = position.format(k=keyword)
    report = Findings()
    assert parse(Source("x", text), report), f"{text}: {report.findings[0].message}"


@pytest.mark.parametrize("other", KEYWORDS)
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_two_keywords_follow_one_another_as_names(keyword: str, other: str) -> None:
    """Where one item ends, the next may be called anything."""
    settings = (
        f"{keyword} = {other} {other}.{keyword} = 1 {keyword} {{}} {other} as {keyword} {{ {other} = {keyword} }}"
    )
    report = Findings()
    tree = parse(Source("x", f"method m {{ {settings} }}"), report)
    assert tree, report.findings[0].message
    (method,) = tree.statements
    assert isinstance(method, Method) and method.body is not None and len(method.body.items) == 4


def test_keywords_as_names_keep_their_meaning() -> None:
    def tree(text: str) -> object:
        return parse(Source("x", text), Findings())

    assert tree("erase erase toward toward away") != tree("erase erase toward away away")
    assert tree('erase  list, list "x"') == tree(['erase list,list "x" ', " a comment is no part of the tree"][0])
