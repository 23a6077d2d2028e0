"""A CSV of a suite as the standard library's `csv` reads it, with line breaks inside quotes; and numbers in it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from math import isfinite

from tracelang.semantics.suites.row import Unreadable
from tracelang.semantics.tables import MAX_SEED

SEEDS = ("evaluation_seed", "sd_seed")
GUIDANCES = ("evaluation_guidance", "sd_guidance_scale")
"""Of both generations of column names, the newer first."""


def table(text: str, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows by column. Raises Unreadable where a wanted column is missing or a row does not fit."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        head = [cell.strip() for cell in next(reader, [])]
        missing = [name for name in wanted if name not in head]
        if missing:
            raise Unreadable(f"has no column `{missing[0]}`")
        for row in reader:
            if row and len(row) != len(head):
                raise Unreadable(f"has {len(row)} cells up to line {reader.line_num}, and {len(head)} in its first row")
            if row:
                yield dict(zip(head, row, strict=True))
    except csv.Error as error:
        raise Unreadable(f"is no CSV at line {reader.line_num}: {error}") from None


def seed(row: dict[str, str]) -> int | None:
    value = _number(row, SEEDS)
    if value is not None and (value != int(value) or not 0 <= value <= MAX_SEED):
        raise Unreadable(f"has the seed {value:g}, which is none")
    return None if value is None else int(value)


def guidance(row: dict[str, str]) -> float | None:
    return _number(row, GUIDANCES)


def _number(row: dict[str, str], names: tuple[str, ...]) -> float | None:
    text = next((row[name].strip() for name in names if row.get(name, "").strip()), "")
    try:
        value = float(text) if text else None
    except ValueError:
        value = float("nan")
    if value is not None and not isfinite(value):
        raise Unreadable(f"has {text[:40]!r} where a number belongs")
    return value
