"""The measure of the package's size: neither words about the code nor its layout count."""

from __future__ import annotations

from collections import Counter

from tests.benchmarks.size import package, sizes, statements, table

CODE = b"""
import os

def area(width, height):
    if width < 0:
        raise ValueError(width)
    return width * height

class Shape:
    sides: int = 4
"""
TOLD = b'''"""A module."""
import os  # of the system

def area(
    width,
    height,
):
    """The product."""
    if width < 0:
        raise ValueError(width)

    return width * height

class Shape:
    """Has sides."""

    sides: int = 4
'''


def test_docstrings_comments_and_line_breaks_do_not_count() -> None:
    assert statements(CODE) == statements(TOLD) == 7
    assert statements(CODE.replace(b"return", b"area = 1; return")) == 8


def test_by_package() -> None:
    files = [("tracelang/api.py", CODE), ("tracelang/engine/passes/refine.py", CODE), ("tracelang/engine/run.py", TOLD)]
    assert sizes(files) == {"tracelang": 7, "tracelang/engine": 14}
    assert package("backends/tracelang_micro/world/card.py") == "backends/tracelang_micro"


def test_what_a_revision_had() -> None:
    rows = table(Counter({"a": 7, "new": 2}), Counter({"a": 9, "gone": 1}))
    assert [row.split() for row in rows] == [
        ["a", "7", "9", "-2"],
        ["gone", "0", "1", "-1"],
        ["new", "2", "0", "+2"],
        ["all", "9", "10", "-1"],
    ]
