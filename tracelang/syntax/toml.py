"""TOML with places: what a file says, and where a key of it is written. Kept apart from what any file may say."""

from __future__ import annotations

import re
from typing import Any

from tracelang.diagnostics import Findings, Source, Span


def parsed(source: Source, report: Findings) -> dict[str, Any] | None:
    """The table of a file; None, with an error at its place, where it is no TOML."""
    import tomllib

    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        message = str(error).partition(" (at ")[0]
        report.error("TL142", f"this is no TOML: {message}", _position(source, place), help="see https://toml.io")
        return None


def key(source: Source, name: str, start: int = 0) -> Span:
    """Where a key is written, from `start` on; the start itself where it is written in some other way."""
    word = rf"(?<![\w-])(?P<key>[\"']?{re.escape(name)}[\"']?)\s*(?:=|\]|\.)"
    found = re.compile(word, re.M).search(source.text, start)
    return Span(source, found.start("key"), found.end("key")) if found else Span(source, start, start)


def value(source: Source, text: str, after: Span) -> Span:
    """Where a text is written in quotes behind a key; the key where it is written in some other way."""
    start = source.text.find(f'"{text}"', after.end) if text else -1
    return Span(source, start, start + len(text) + 2) if start >= 0 else after


def _position(source: Source, place: re.Match[str] | None) -> Span:
    text = source.text
    if place is None:
        return Span(source, len(text), len(text))
    before = text.split("\n")[: int(place[1]) - 1]
    at = min(sum(len(line) + 1 for line in before) + int(place[2]) - 1, len(text))
    return Span(source, at, min(at + 1, len(text)))
