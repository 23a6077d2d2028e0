"""What a syntax error says, and that none ends in anything but a diagnostic."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.snippets import snippets
from tracelang.diagnostics import Diagnostic, Findings, Source
from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.human import render
from tracelang.syntax.parser import parse
from tracelang.syntax.read import decode

BAD = snippets(Path(__file__).with_name("bad.txt"))
RECIPES = sorted(Path(__file__).parents[2].glob("recipes/**/*.erase"))


def findings(text: str) -> list[Diagnostic]:
    report = Findings()
    tree = parse(Source("x.erase", text), report)
    assert (tree is None) == report.failed
    return report.findings


@pytest.mark.parametrize(("note", "text"), BAD, ids=[note for note, _ in BAD])
def test_bad_snippet(note: str, text: str) -> None:
    place, _, words = note.partition(" | ")
    code, at = place.split(" ")
    found = findings(text.replace("\\x00", "\x00"))
    assert [f"{d.code} {d.location.removeprefix('x.erase:')}" for d in found] == [f"{code} {at}"]
    assert words in found[0].message + "\n" + found[0].help
    assert code in CODES
    assert "__" not in found[0].message + found[0].help


def test_nesting_has_a_limit() -> None:
    deep = "erase " + "(" * 64 + '"cat"' + ")" * 64
    assert not findings(deep)
    assert [d.code for d in findings(deep.replace("(", "((").replace(")", "))"))] == ["TL107"]
    assert [d.code for d in findings("erase " + "(" * 100_000)] == ["TL107"]


def test_long_flat_chains_are_no_nesting() -> None:
    assert not findings("erase " + " & ".join(f'"{i}"' for i in range(20_000)))
    assert not findings("erase a" + " except b" * 20_000)


def test_size_and_encoding() -> None:
    report = Findings()
    assert decode(b"#" * ((1 << 20) + 1), "x", 1 << 20, report) is None
    assert decode(b'erase "a"\nerase "\xff"', "x", 1 << 20, report) is None
    assert [(d.code, d.location) for d in report.findings] == [("TL106", "x:1:1"), ("TL105", "x:2:8")]


def test_a_byte_order_mark_is_no_text() -> None:
    read = decode(b"\xef\xbb\xbferase 'x'", "x", 99, Findings())
    assert read is not None and read.source.text.startswith("erase")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RECIPES), st.data())
def test_every_mutation_ends_in_a_diagnostic(path: Path, data: st.DataObject) -> None:
    text = path.read_text("utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    middle = data.draw(st.text(max_size=6) | st.sampled_from(["{", "}", '"', "\\", "..", "erase", "(", ",", "%", "in"]))
    text = text[:start] + middle + text[end:]
    for finding in findings(text):
        shown = render([finding])
        assert finding.location in shown and "\x1b" not in shown
