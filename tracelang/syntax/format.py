"""The one canonical style of recipes: `format_text` keeps every statement, every comment and their order.

A statement or an item of a block takes one line where it fits; a block whose first item stood on a line of its own
keeps one line an item. Long lines are filled and go on indented. In neighbouring lines of one kind the marks stand
below each other (`=`, `{`, `<=`, `toward`), and so do comments after them. Single blank lines stay.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from tracelang.diagnostics import Findings, Source
from tracelang.syntax import tree
from tracelang.syntax.lexer import pattern
from tracelang.syntax.parser import parse
from tracelang.syntax.table import load

WIDTH = 100
INDENT = 2
ALIGNED = 80
"""A longer line does not push the comments of its neighbours to the right."""

ALLOWANCE = "tracec:"
"""How a comment begins that speaks to `tracec lint` about its line: what stands on that line is left as it is."""

CLOSE_BEFORE = {",", ".", "..", ")", "%"}
CLOSE_AFTER = {"(", ".", ".."}
BREAK_BEFORE = {"toward", "degree", "weight", "during", "after", "except", "&"}
MARKS: dict[type, tuple[str, ...]] = {
    tree.Setting: ("=",),
    tree.Assertion: ("<=", ">="),
    tree.Param: ("=",),
    tree.Templates: ("=",),
    tree.Group: ("=",),
    tree.Window: ("=",),
    tree.Layers: ("=",),
    tree.Define: ("=", "{"),
    tree.Concept: ("{",),
    tree.Block: ("{",),
    tree.Erase: ("toward",),
    tree.Import: ("as",),
    tree.Control: ("=",),
}


class FormatError(Exception):
    """The formatted text does not say the same. A fault of the formatter: nothing may be written."""


def format_text(source: Source, report: Findings) -> str | None:
    """The canonical text of a recipe, or None where it has syntax errors, which then stand in `report`.

    Raises FormatError where the new text does not parse to the same tree with the same comments.
    """
    file = parse(source, report)
    if file is None:
        return None
    text = _Printer(file).text()
    again = parse(Source(source.path, text), Findings())
    if again is None or again.statements != file.statements or _said(again) != _said(file):
        raise FormatError(f"{source.path}: formatting would change what it says")
    return text


def _said(file: tree.File) -> list[str]:
    return [comment.text.rstrip() for comment in file.comments]


@dataclass(frozen=True, slots=True)
class Word:
    """A token or a comment of the source."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be: `split` is where its mark stands, and lines of one `kind` stand in line at theirs."""

    indent: int
    text: str
    kind: str = ""
    split: int | None = None
    comment: str = ""
    gap: bool = False

    @property
    def width(self) -> int:
        return self.indent + len(self.text)


class _Printer:
    def __init__(self, file: tree.File) -> None:
        self.file = file
        self.source = file.source.text
        ignored = {"COMMENT", "SPACE"}
        matches = pattern(load()).finditer(self.source)
        self.words = [Word(m[0], m.start(), m.end()) for m in matches if m.lastgroup not in ignored]
        self.starts = [word.start for word in self.words]
        self.comments = [Word(c.text.rstrip(), c.span.start, c.span.end) for c in file.comments]
        self.places = [comment.start for comment in self.comments]
        said = ((comment.text.lstrip("#").strip(), comment.start) for comment in self.comments)
        self.allowances = {start for text, start in said if text.startswith(ALLOWANCE)}
        expected = [node for node in file.statements if isinstance(node, tree.Expect)]
        self.metrics = {one.span.start for node in expected for one in node.assertions}
        self.lines: list[Line] = []
        self.shown = 0
        """Comments that were printed."""
        self.last = 0
        """Where in the source the last printed word ended."""

    def text(self) -> str:
        for statement in self.file.statements:
            self._node(statement, 0)
        self._comments_before(len(self.source) + 1, 0)
        lines = _comments_in_line(_marks_in_line(self.lines))
        return "".join("\n" * line.gap + " " * line.indent + line.text + "\n" for line in lines)

    def _node(self, node: tree.Node, indent: int) -> None:
        """Print a statement or an item of a block."""
        words, items = self._within(node), _items(node)
        self._comments_before(words[0].start, indent)
        if not self._broken(node):
            line = Line(indent, self._one_line(node), type(node).__name__, self._split(node, words))
            allowing = self._allowing(words)
            if self._on_one_line(words) if allowing else line.width <= WIDTH:
                self._put(line, words[0].start, words[-1].end)
                return
        if items is None:
            self._fill(words, indent)
            return
        head = next(i for i, word in enumerate(words) if word.text == "{") + 1
        self._fill(words[:head], indent)
        for row in self._rows(items):
            self._row(row, indent + INDENT)
        self._comments_before(words[-1].start, indent + INDENT)
        self._put(Line(indent, "}"), self.last, words[-1].end)

    def _rows(self, items: tuple[tree.Node, ...]) -> list[list[tree.Node]]:
        """The items of a block by lines: settings that shared a line stay together."""
        rows: list[list[tree.Node]] = []
        for item in items:
            before = rows[-1][-1] if rows else None
            if (
                isinstance(before, tree.Setting)
                and isinstance(item, tree.Setting)
                and self.source[before.span.end : item.span.start].strip(" \t") == ""
            ):
                rows[-1].append(item)
            else:
                rows.append([item])
        return rows

    def _row(self, row: list[tree.Node], indent: int) -> None:
        whole = "  ".join(self._one_line(item) for item in row)
        words = [word for item in row for word in self._within(item)]
        long = indent + len(whole) > WIDTH and not (self._allowing(words) and self._on_one_line(words))
        if len(row) == 1 or long or any(map(self._broken, row)):
            for item in row:
                self._node(item, indent)
            return
        start = row[0].span.start
        self._comments_before(start, indent)
        self._put(Line(indent, whole), start, row[-1].span.end)

    def _fill(self, words: list[Word], indent: int) -> None:
        """Print words over as many lines as they need, broken where `_pieces` allows it and at comments."""
        start, line, begun = words[0].start, "", False
        allowing = self._allowing(words)
        pieces = self._as_written(words) if allowing else self._pieces(words)
        long = not allowing and indent + sum(len(self._joined(piece)) + 1 for piece in pieces) - 1 > WIDTH

        def end() -> None:
            nonlocal line, begun
            if line:
                self._put(Line(indent + INDENT * begun, line), self.last if begun else start, self.last)
            line, begun = "", True

        gap = self._gap(start)
        first = len(self.lines)
        for piece in pieces:
            text = self._joined(piece)
            pending = self.shown < len(self.comments) and self.comments[self.shown].start < piece[0].start
            full = allowing or indent + INDENT * begun + len(line) + 1 + len(text) > WIDTH
            if line and (pending or full):
                end()
            if pending:
                self._comments_before(piece[0].start, indent + INDENT * begun)
            line = f"{line} {text}" if line else text
            self.last = piece[-1].end
            if long and text.endswith("=") and not begun:
                end()
        end()
        self.lines[first] = replace(self.lines[first], gap=gap)

    def _pieces(self, words: list[Word]) -> list[list[Word]]:
        """Words by where a line may end: after a comma or `=`, before a modifier, and where a comment stands."""
        pieces: list[list[Word]] = [[]]
        for i, word in enumerate(words):
            pieces[-1].append(word)
            after = words[i + 1] if i + 1 < len(words) else None
            if after and (word.text in (",", "=") or after.text in BREAK_BEFORE or self._comment_between(word, after)):
                pieces.append([])
        return pieces

    def _as_written(self, words: list[Word]) -> list[list[Word]]:
        """Words by the lines of the source."""
        pieces = [[words[0]]]
        for before, after in pairwise(words):
            if self._on_one_line([before, after]):
                pieces[-1].append(after)
            else:
                pieces.append([after])
        return pieces

    def _on_one_line(self, words: list[Word]) -> bool:
        return "\n" not in self.source[words[0].end : words[-1].start]

    def _allowing(self, words: list[Word]) -> bool:
        """Whether an allowance stands among some words, behind them, or on the line above them.

        Words that move to its line would be allowed too, and words that leave it no more.
        """
        if not self.allowances:
            return False
        start, end = words[0].start, words[-1].end
        first = bisect_left(self.places, start)
        begin = start
        for comment in (self.comments[i] for i in range(first - 1, -1, -1)):
            line = self.source[self.source.rfind("\n", 0, comment.start) + 1 : comment.start]
            if line.strip() or self.source[comment.end : begin].strip():
                break
            if comment.start in self.allowances:
                return True
            begin = comment.start
        for comment in (self.comments[i] for i in range(first, len(self.comments))):
            if comment.start > end and self.source[end : comment.start].strip(" \t"):
                break
            if comment.start in self.allowances:
                return True
        return False

    def _comment_between(self, before: Word, after: Word) -> bool:
        at = bisect_left(self.places, before.end)
        return at < len(self.places) and self.places[at] < after.start

    def _put(self, line: Line, start: int, end: int) -> None:
        """Add the line of the words from `start` to `end`."""
        self.lines.append(replace(line, gap=self._gap(start)))
        self.last = end

    def _comments_before(self, at: int, indent: int) -> None:
        """Print the comments that stand before a place: after a line what stood after a word, else on its own."""
        while self.shown < len(self.comments) and self.comments[self.shown].start < at:
            comment = self.comments[self.shown]
            self.shown += 1
            alone = "\n" in self.source[self.last : comment.start] or not self.lines
            if alone or self.lines[-1].comment or self.lines[-1].text.startswith("#"):
                self.lines.append(Line(indent, comment.text, gap=self._gap(comment.start)))
            else:
                self.lines[-1] = replace(self.lines[-1], comment=comment.text)
            self.last = comment.end

    def _gap(self, start: int) -> bool:
        """Whether a blank line goes before what begins at `start`: there was one, and it is not first in a block."""
        first = not self.lines or (self.lines[-1].text.endswith("{") and not self.lines[-1].text.startswith("#"))
        return not first and self.source[self.last : start].count("\n") > 1

    def _within(self, node: tree.Node) -> list[Word]:
        return self.words[bisect_left(self.starts, node.span.start) : bisect_left(self.starts, node.span.end)]

    def _broken(self, node: tree.Node) -> bool:
        """Whether a node cannot stand on one line: a comment in it, or a block whose items stand below its brace."""
        words = self._within(node)
        if self._comment_between(words[0], words[-1]):
            return True
        items = _items(node)
        if not items:
            return False
        brace = next(word for word in words if word.text == "{")
        below = "\n" in self.source[brace.end : items[0].span.start]
        return below or any(self._broken(item) for item in items)

    def _one_line(self, node: tree.Node) -> str:
        words, items = self._within(node), _items(node)
        if items is None:
            return self._joined(words)
        head = next(i for i, word in enumerate(words) if word.text == "{")
        inner = "  ".join(self._one_line(item) for item in items)
        return f"{self._joined(words[:head])} {{ {inner} }}" if inner else f"{self._joined(words[:head])} {{}}"

    def _split(self, node: tree.Node, words: list[Word]) -> int | None:
        """Where in the one line of a node its mark stands."""
        if isinstance(node, tree.Entry):
            return len(words[0].text) + 1
        for i, word in enumerate(words):
            if word.text in MARKS.get(type(node), ()):
                return len(self._joined(words[:i])) + 1 if i else None
        return None

    def _joined(self, words: list[Word]) -> str:
        """Words with the canonical space between them; a metric is closely followed by its parenthesis."""
        parts = [words[0].text]
        for before, after in pairwise(words):
            close = after.text in CLOSE_BEFORE or before.text in CLOSE_AFTER
            close = close or (after.text == "(" and before.start in self.metrics)
            parts.append(after.text if close else f" {after.text}")
        return "".join(parts)


def _items(node: tree.Node) -> tuple[tree.Node, ...] | None:
    """The items of a node's block, None where it has no block."""
    match node:
        case tree.Recipe() | tree.Block():
            return node.body.items
        case tree.Method() | tree.Define() | tree.Preserve():
            return node.body.items if node.body else None
        case tree.Concept():
            return node.entries
        case tree.Expect():
            return node.assertions
    return None


def _marks_in_line(lines: list[Line]) -> list[Line]:
    """Neighbouring lines of one kind with their marks below each other, where that fits."""
    result: list[Line] = []

    def together(a: Line, b: Line) -> bool:
        return (a.kind, a.indent) == (b.kind, b.indent) and None not in (a.split, b.split)

    for group in _runs(lines, together):
        column = max((line.split or 0 for line in group), default=0)
        padded = [
            line
            if line.split is None
            else replace(line, text=f"{line.text[: line.split - 1]:{column}}{line.text[line.split :]}")
            for line in group
        ]
        fits = len(group) > 1 and all(line.width <= WIDTH for line in padded)
        result += padded if fits else group
    return result


def _comments_in_line(lines: list[Line]) -> list[Line]:
    """Comments after neighbouring lines below each other."""
    result: list[Line] = []
    for group in _runs(lines, lambda a, b: bool(a.comment) and bool(b.comment)):
        column = max((line.width for line in group if line.width <= ALIGNED), default=0)
        for line in group:
            if line.comment:
                space = " " * max(column - line.width, 0)
                line = replace(line, text=f"{line.text}{space}  {line.comment}")
            result.append(line)
    return result


def _runs(lines: list[Line], together: Callable[[Line, Line], bool]) -> list[list[Line]]:
    runs: list[list[Line]] = []
    for line in lines:
        if runs and not line.gap and together(runs[-1][-1], line):
            runs[-1].append(line)
        else:
            runs.append([line])
    return runs
