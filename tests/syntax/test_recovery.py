"""One run finds every independent syntax error, and none that only follows from another."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.snippets import snippets
from tracelang.diagnostics import Findings, Source
from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.human import render
from tracelang.syntax.parser import MAX_ERRORS, parse

HERE = Path(__file__).parent
RECIPES = [path.read_text("utf-8") for path in sorted(HERE.parents[1].glob("recipes/**/*.erase"))]
MANY = snippets(HERE / "many.txt")


def places(text: str) -> list[str]:
    report = Findings()
    tree = parse(Source("x.erase", text), report)
    assert (tree is None) == report.failed
    return [f"{d.code} {d.location.removeprefix('x.erase:')}" for d in report.findings]


def work(text: str) -> int:
    """How many lines of Python reading a text runs: a measure of time that is the same on every machine."""
    lines = 0

    def step(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return step

    places(text[:100])  # what is loaded and compiled but once is not counted
    before = sys.gettrace()
    sys.settrace(step)
    try:
        places(text)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(("note", "text"), MANY, ids=[text[:20] for _, text in MANY])
def test_every_independent_error(note: str, text: str) -> None:
    assert places(text) == note.split(", ")


def test_errors_far_apart() -> None:
    right = 'concept c%d {\n  names "a"\n}\n'
    text = "".join('erase "a" "b"\n' if i % 500 == 0 else right % i for i in range(2500))
    assert places(text) == [f"TL101 {1 + i * (1 + 499 * 3)}:11" for i in range(5)]


def test_a_file_shows_so_many_errors() -> None:
    report = Findings()
    parse(Source("x", 'erase "a" "b"\n' * 1000), report)
    assert len(report.findings) == MAX_ERRORS
    assert "only the first" in report.findings[-1].note
    assert not any(finding.note for finding in report.findings[:-1])


@pytest.mark.parametrize(
    "piece",
    ['erase "a" "b"\n', 'erase "a\n', "@", "\u201c", "\u201ca\u201d\n", "{\n", "}\n", "Aa", '"', "erase\n", "earse x\n",
     "concept c {\n", "(((\n", "method m { a\n", " ", "a" * 30 + "\n", "erase = \\\n", 'x "', "\r", "erase", "_"],
)  # fmt: skip
def test_work_grows_with_length_alone(piece: str) -> None:
    def cost(size: int) -> int:
        return work((piece * (size // len(piece) + 1))[:size])

    assert cost(16_000) < 16 * cost(2_000)  # 8 times the length; 64 times the work if it grew with its square


def damaged(chance: random.Random, text: str) -> str:
    """One truncation, flipped byte, deletion, doubled stretch or deep nesting somewhere in a recipe."""
    if not text:
        return text
    at = chance.randrange(len(text))
    end = at + chance.choice([1, 1, 2, 8, 60])
    match chance.randrange(6):
        case 0:
            return text[:at]
        case 1:
            data = bytearray(text.encode())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return data.decode("utf-8", "replace")
        case 2:
            return text[:at] + text[end:]
        case 3:
            return text[:end] + text[at:]
        case 4:
            mark = chance.choice('{}()"\\,=.%&-\u201c;<')
            return text[:at] + mark * chance.choice([1, 1, 2, 70]) + text[at:]
        case _:
            lines = text.split("\n")
            del lines[chance.randrange(len(lines))]
            return "\n".join(lines)


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_damage_ends_in_a_tree_or_in_findings(recipe: str, count: int) -> None:
    chance = random.Random(count)
    outcomes = set()
    for i in range(count):
        text = damaged(chance, recipe)
        if i % 5 == 0:
            text = damaged(chance, text)
        report = Findings()
        tree = parse(Source("x.erase", text), report)
        assert i % 10 or work(text) < 300 * (len(text) + 100)
        assert (tree is None) == report.failed
        assert all(finding.code in CODES and "__" not in finding.message for finding in report.findings)
        assert "\x1b" not in render(report.findings)
        outcomes.add(tree is None)
    assert outcomes == {True, False}


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_every_truncation(recipe: str) -> None:
    for end in range(0, len(recipe), max(1, len(recipe) // 400)):
        assert len(places(recipe[:end])) <= 1, recipe[:end]
