"""Hostile text in a terminal, in HTML and in Markdown: it neither steers nor hides, and it is no markup."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from tests.evidence.sample import NASTY
from tracelang.characters import HIDDEN
from tracelang.text import code, fenced, line, markdown, safe, visible

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = [
    *NASTY,
    "\x1b]0;owned\x07",
    "a\r\nb\tc\u2028d",
    "\ud800",
    "\u3164\u00ad\u200b",
    "`` ` ```",
    "|a|b|\n---",
    "…",
    "",
]
texts = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=40)


@given(texts)
def test_a_terminal_shows_all_of_it_on_one_line(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable() and not HIDDEN.search(shown) and "…" not in shown
    assert safe(shown) == shown


@given(texts)
def test_html_shows_what_would_hide_and_is_left_as_it_was_once_shown(text: str) -> None:
    shown = visible(text)
    assert not STEERING.search(shown) and visible(shown) == shown
    assert "<" not in escape(shown) and unescape(escape(shown)) == shown


@given(texts)
def test_markdown_has_one_line_and_no_markup(text: str) -> None:
    shown = markdown(text)
    assert not STEERING.search(shown) and "\n" not in shown and "\t" not in shown
    assert not re.search(r"[\\`*_\[\]<>|~]|&(?!#\d+;)", shown)
    assert unescape(shown) == line(text)


@given(texts)
def test_nothing_leaves_a_span_or_a_block_of_code(text: str) -> None:
    span, block = code(text), fenced(text, "erase").split("\n")
    run = re.match("`+", span)
    assert run and span.endswith(run[0]) and run[0] not in re.findall("`+", span[len(run[0]) : -len(run[0])])
    assert block[0] == f"{block[-1]}erase" and not any(block[-1] in inside for inside in block[1:-1])
    assert not STEERING.search(span + "".join(block))


@pytest.mark.parametrize(
    ("text", "terminal", "html", "in_markdown"),
    [
        ("plain cat", "plain cat", "plain cat", "plain cat"),
        ("x\x1b[31m\u202ey", r"x\x1b[31m\u202ey", "x⟨U+001B⟩[31m⟨U+202E⟩y", "x&#91;31my"),
        ("zero\u200bwidth…", r"zero\u200bwidth...", "zero⟨U+200B⟩width…", "zero\u200bwidth…"),
        ("a\n\tb\xa0c", r"a\n\tb\xa0c", "a\n\tb\xa0c", "a b c"),
        ("<b>`*_|&~", "<b>`*_|&~", "<b>`*_|&~", "&#60;b&#62;&#96;&#42;&#95;&#124;&#38;&#126;"),
    ],
)
def test_each_in_its_own_way(text: str, terminal: str, html: str, in_markdown: str) -> None:
    assert (safe(text), visible(text), markdown(text)) == (terminal, html, in_markdown)
