"""Text with a name, and stretches of it."""

from __future__ import annotations

from bisect import bisect_right

from tracelang.records import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The text of one file as it was read; `path` is what a message calls it."""

    path: str
    text: str
    _starts: list[int] = field(default_factory=list, repr=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        if not self._starts:
            self._starts.append(0)
            self._starts.extend(i + 1 for i, character in enumerate(self.text) if character == "\n")
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """A line by its number from 1, without its end."""
        self.position(0)
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return (self.text[start:] if end < 0 else self.text[start:end]).rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of a source."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]
