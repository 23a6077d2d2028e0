"""List files: texts one a line, or a column of a CSV, read from inside the recipe root and pinned by hash."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tracelang.diagnostics import Label, Report, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.program import File
from tracelang.syntax import tree
from tracelang.syntax.read import MAX_LIST_BYTES, Read, read
from tracelang.syntax.text import normal

STANDARD = "std/"


@dataclass(slots=True)
class Lists:
    """`folder` is where the recipe lies, `root` the wall, `library` where paths that start with `std/` lie."""

    folder: Path
    root: Path
    library: Path
    report: Report
    files: dict[str, File] = field(default_factory=dict)
    _read: dict[Path, Read | None] = field(default_factory=dict)

    def texts(self, node: tree.ListFile) -> tuple[str, ...] | None:
        """The texts of a list, NFC, in order; None, reported, where it cannot be had."""
        path = self._locate(node.path)
        if path is None:
            return None
        if path not in self._read:
            found = read(path, node.path.value, MAX_LIST_BYTES, self.report, node.path.span)
            self._read[path] = found
            if found is None:
                return None
            home = self.library if node.path.value.startswith(STANDARD) else self.root
            name = path.relative_to(home.resolve()).as_posix()
            self.files[name] = File(name, found.sha256, "list")
        found = self._read[path]
        if found is None:
            return None
        words = _lines(found) if node.column is None else _column(found, node.column, self.report)
        if words is not None and not words:
            self.report.error("TL218", f"the list `{node.path.value}` is empty", node.path.span)
            return None
        return words

    def _locate(self, node: tree.Text) -> Path | None:
        """The file that a path means, all links followed, or None where that lies outside the root."""
        text = node.value
        standard = text.startswith(STANDARD)
        home = self.library if standard else self.root
        try:
            path = ((self.library if standard else self.folder) / text).resolve()
            inside = not Path(text).is_absolute() and path.is_relative_to(home.resolve())
        except (OSError, ValueError, RuntimeError):
            self.report.error("TL216", "this cannot be the name of a file", node.span)
            return None
        if not inside:
            help = "keep lists inside the recipe's folder, or set a wider --root"
            self.report.error("TL217", f"`{text}` leaves the recipe root", node.span, help=help)
            return None
        if not path.exists():
            names = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
            near = did_you_mean(path.name, names)
            self.report.error("TL216", f"there is no list `{text}`", node.span, help=near)
            return None
        return path


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
