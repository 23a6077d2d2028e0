"""Places in a text as the protocol counts them: lines from 0, and columns in the units that were agreed on."""

from __future__ import annotations

import re
from bisect import bisect_right

from lsprotocol.types import Position, PositionEncodingKind, Range

from tracelang.records import dataclass

LINE_END = re.compile(r"\r\n|\n|\r")
"""What ends a line in the protocol: a carriage return alone, too, which is an error in a recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The lines of a text: where each begins, and in which units columns are counted (`utf-16` unless agreed else)."""

    text: str
    starts: tuple[int, ...]
    units: str

    def position(self, offset: int) -> Position:
        """The position of a character."""
        line = bisect_right(self.starts, offset) - 1
        return Position(line, _count(self.text[self.starts[line] : offset], self.units))

    def range(self, start: int, end: int) -> Range:
        """The range of a stretch of characters."""
        return Range(self.position(start), self.position(end))

    def offset(self, position: Position) -> int:
        """The character at a position; past the end of a line or of the text, that end."""
        if position.line >= len(self.starts):
            return len(self.text)
        start = self.starts[max(position.line, 0)]
        until = self.starts[position.line + 1] if position.line + 1 < len(self.starts) else len(self.text)
        line = self.text[start:until].rstrip("\r\n")
        if line.isascii():
            return start + min(max(position.character, 0), len(line))
        column = 0
        for i, character in enumerate(line):
            column += _count(character, self.units)
            if column > position.character:
                return start + i
        return start + len(line)


def lines(text: str, units: str = PositionEncodingKind.Utf16) -> Lines:
    """The lines of a text."""
    return Lines(text, (0, *(match.end() for match in LINE_END.finditer(text))), units)


def _count(text: str, units: str) -> int:
    if text.isascii() or units == PositionEncodingKind.Utf32:
        return len(text)
    if units == PositionEncodingKind.Utf8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
