"""List files: texts one a line, or a column of a CSV, read from inside the recipe root and pinned by hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracelang.diagnostics import Findings, Source
from tracelang.records import dataclass, field
from tracelang.semantics.paths import Place, locate
from tracelang.semantics.program import File
from tracelang.syntax import tree
from tracelang.syntax.read import MAX_LIST_BYTES, Read, Texts, read

if TYPE_CHECKING:
    from pathlib import Path

Words = tuple[str, ...] | None
"""What a list holds; None: not to be had, and reported."""


@dataclass(slots=True)
class Lists:
    """Every list that was read, each file and each choice of its cells once.

    `used` holds each `list` with the file behind it, `starts` where its texts begin there, once that was asked for.
    """

    report: Findings
    unsaved: Texts | None = None
    files: dict[Path, File] = field(default_factory=dict)
    used: list[tuple[tree.ListFile, Source]] = field(default_factory=list)
    starts: dict[tuple[Source, tree.Text | None, tree.Where | None], dict[str, int]] = field(default_factory=dict)
    _read: dict[Path, Read | None] = field(default_factory=dict)
    _texts: dict[tuple[Path, str | None, tuple[str, str] | None], Words] = field(default_factory=dict)

    def texts(self, place: Place, node: tree.ListFile) -> Words:
        """The texts of a list, NFC, in order; None, reported, where it cannot be had."""
        located = locate(place, node.path, "list", self.report)
        if located is None:
            return None
        path = located.path
        if path not in self._read:
            at = node.path.span
            self._read[path] = read(path, located.shown, MAX_LIST_BYTES, self.report, at, self.unsaved)
        found = self._read[path]
        if found is None:
            return None
        self.used.append((node, found.source))
        self.files[path] = File(located.name, found.data, "list")
        column = node.column
        where = (node.where.column.value, node.where.value.value) if node.where else None
        key = (path, column.value if column else None, where)
        if key not in self._texts:  # what is wrong inside a file is said once
            if column is None:
                from tracelang.semantics.lines import lines

                self._texts[key] = lines(found.source, node, self.report)
            else:
                from tracelang.semantics.columns import cells

                self._texts[key] = cells(found.source, node, column, self.report)
            self._repeated(self._texts[key], node)
        words = self._texts[key]
        if words is not None and not words:
            help = "put a text into it, or take the `list` out"
            self.report.error("TL218", f"the list `{node.path.value}` is empty", node.path.span, help=help)
            return None
        return words

    def _repeated(self, words: Words, node: tree.ListFile) -> None:
        """Say of how many texts some stand there more than once: benchmarks' prompts do."""
        different = len(set(words or ()))
        if words and different < len(words):
            message = f"`{node.path.value}` holds {len(words):,} texts, and {different:,} different ones"
            note = "each counts once, so a share over them is no share over the rows"
            self.report.remark("TL230", message, node.span, note=note)
