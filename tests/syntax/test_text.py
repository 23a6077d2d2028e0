from __future__ import annotations

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from tracelang.syntax.text import bad_escapes, quote, unquote

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_unquote_undoes_quote(text: str) -> None:
    literal = quote(normalize("NFC", text))
    assert unquote(literal) == normalize("NFC", text)
    assert not bad_escapes(literal)
    assert literal.isprintable()


def test_composed_and_decomposed_are_one() -> None:
    assert unquote('"e\\u{301}"') == unquote('"\u00e9"') == "\u00e9"


def test_bad_escapes_are_found_where_they_stand() -> None:
    assert bad_escapes(r'"a\qb\u{110000}\u{0}\n"') == [(2, 4), (5, 15)]
