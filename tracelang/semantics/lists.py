"""List files: texts one a line, or a column of a CSV, read from inside the recipe root and pinned by hash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tracelang.diagnostics import Diagnostic, Label, Report, Source, Span
from tracelang.records import dataclass, field
from tracelang.semantics.paths import Place, locate
from tracelang.semantics.program import File
from tracelang.syntax import tree
from tracelang.syntax.read import MAX_LIST_BYTES, Read, read
from tracelang.syntax.text import normal, plain

COMMENT = "#"
Texts = tuple[str, ...] | None
"""What a list holds; None: not to be had, and reported."""


@dataclass(slots=True)
class Lists:
    """Every list that was read, each file and each of its columns once."""

    report: Report
    files: dict[Path, File] = field(default_factory=dict)
    _read: dict[Path, Read | None] = field(default_factory=dict)
    _texts: dict[tuple[Path, str | None], Texts] = field(default_factory=dict)

    def texts(self, place: Place, node: tree.ListFile) -> Texts:
        """The texts of a list, NFC, in order; None, reported, where it cannot be had."""
        located = locate(place, node.path, "list", self.report)
        if located is None:
            return None
        path = located.path
        if path not in self._read:
            self._read[path] = read(path, located.shown, MAX_LIST_BYTES, self.report, node.path.span)
        found = self._read[path]
        if found is None:
            return None
        self.files[path] = File(located.name, found.sha256, "list")
        column = node.column
        key = (path, column.value if column else None)
        if key not in self._texts:  # what is wrong inside a file is said once
            if column is None:
                self._texts[key] = _lines(found.source, node, self.report)
            else:
                from tracelang.semantics.columns import cells

                self._texts[key] = cells(found.source, node, column, self.report)
        words = self._texts[key]
        if words is not None and not words:
            help = "put a text into it, or take the `list` out"
            self.report.error("TL218", f"the list `{node.path.value}` is empty", node.path.span, help=help)
            return None
        return words


def rows(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a file, without their ends, and where each begins. LF and CR LF end a line, and nothing else."""
    start = 0
    for line in text.split("\n"):
        yield start, line.removesuffix("\r")
        start += len(line) + 1


def _lines(source: Source, node: tree.ListFile, report: Report) -> Texts:
    if node.path.value.lower().endswith((".csv", ".tsv")):
        from tracelang.semantics.columns import without_column

        without_column(source, node, report)
        return None
    if not plain(source.text) and _hidden(source, node, report):
        return None
    taken = [(start, line) for start, line in rows(source.text) if line.strip() and line.lstrip()[0] != COMMENT]
    if re.search(DECORATED, source.text, re.M):
        from tracelang.semantics.decorated import warn

        warn(source, taken, node, report)
    return tuple(normal(line.strip()) for _, line in taken)


DECORATED = r"""[\t"'\][{}`*;|\u201c\u2022]|^[ ]*-|[,:][ ]*\r?$| #|//|,[^ ]"""
"""What is in every file that `decorated` has something to say about, and in few others."""


def _hidden(source: Source, node: tree.ListFile, report: Report) -> bool:
    """Report what cannot be seen in the lines of a list; whether there is an error in that."""
    from tracelang.syntax.unseen import Piece, findings, lone_returns, raw

    def pieces() -> Iterator[Piece]:
        yield from (raw("\r", at) for at in lone_returns(source.text))
        for start, line in rows(source.text):
            if not plain(line):
                yield raw(line.replace("\r", " "), start, comment=line.lstrip()[:1] == COMMENT)

    found = findings(source, pieces(), MAX_FINDINGS)
    errors = [one for one in found if one.severity == "error"]
    report.findings += errors
    doubtful([one for one in found if one.severity == "warning"], node, report)
    return bool(errors)


def doubtful(found: list[Diagnostic], node: tree.ListFile, report: Report) -> None:
    """Warnings about a list's lines, the first of each code, given at the `list`: there a comment can allow them."""
    for code in dict.fromkeys(one.code for one in found):
        first, *more = (one for one in found if one.code == code)
        line = first.primary.span.source.position(first.primary.span.start)[0]
        also = [Label(first.primary.span, f"here (and {len(more)} more)" if more else "here")]
        message = f"{first.primary.span.source.path}:{line}: {first.message}"
        report.warning(code, message, node.span, also=also, help=first.help)


MAX_FINDINGS = 20
"""So many of a kind are said of one list."""


def line_of(source: Source, start: int) -> Span:
    """A line without its end, by the place where it begins."""
    end = source.text.find("\n", start)
    return Span(source, start, len(source.text[start : len(source.text) if end < 0 else end].rstrip("\r")) + start)


def read_here(node: tree.ListFile) -> Label:
    return Label(node.span, "read here")
