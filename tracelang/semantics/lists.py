"""List files: texts one a line, or a column of a CSV, read from inside the recipe root and pinned by hash."""

from __future__ import annotations

from pathlib import Path

from tracelang.diagnostics import Label, Report, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import dataclass, field
from tracelang.semantics.paths import Place, locate
from tracelang.semantics.program import File
from tracelang.syntax import tree
from tracelang.syntax.read import MAX_LIST_BYTES, Read, read
from tracelang.syntax.text import normal


@dataclass(slots=True)
class Lists:
    """Every list that was read, each file once."""

    report: Report
    files: dict[Path, File] = field(default_factory=dict)
    _read: dict[Path, Read | None] = field(default_factory=dict)

    def texts(self, place: Place, node: tree.ListFile) -> tuple[str, ...] | None:
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
        words = _lines(found) if node.column is None else _column(found, node.column, self.report)
        if words is not None and not words:
            self.report.error("TL218", f"the list `{node.path.value}` is empty", node.path.span)
            return None
        return words


def _rows(found: Read) -> list[str]:
    return [line for line in found.source.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _lines(found: Read) -> tuple[str, ...]:
    return tuple(normal(line.strip()) for line in _rows(found))


def _column(found: Read, column: tree.Text, report: Report) -> tuple[str, ...] | None:
    import csv

    try:
        rows = list(csv.reader(_rows(found), strict=True))
    except csv.Error as error:
        at = Label(Span(found.source, 0, 0), "in this file")
        report.error("TL218", f"this is no CSV: {error}", column.span, also=[at])
        return None
    head = [normal(cell.strip()) for cell in rows[0]] if rows else []
    if column.value not in head:
        help = did_you_mean(column.value, head)
        report.error("TL218", f"the list has no column `{column.value}`", column.span, help=help)
        return None
    at_column = head.index(column.value)
    cells = [row[at_column].strip() if at_column < len(row) else "" for row in rows[1:]]
    return tuple(normal(cell) for cell in cells if cell)
