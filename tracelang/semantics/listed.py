"""Where what a finding names stands in a list's own file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Label, Source, Span
from tracelang.records import replace
from tracelang.semantics.lists import Lists
from tracelang.semantics.rows import COMMENT, line_of, rows
from tracelang.syntax import tree
from tracelang.syntax.text import normal

QUOTED = re.compile(r'"([^"]+)"')
"""How a message names a member that is a text."""


def listed(finding: Diagnostic, lists: Lists) -> Diagnostic:
    """A finding with the lines that hold what it names, of the lists that it is about.

    One that marks a list's line already stays as it is.
    """
    labels = (finding.primary, *finding.secondary)
    marked = [one.span.source for one in labels]
    lines: dict[Span, Label] = {}
    for node, source in lists.used:
        if source in marked or not any(_about(one.span, node) for one in labels):
            continue
        key = source, node.column, node.where
        if key not in lists.starts:
            lists.starts[key] = _starts(source, node)
        for text in QUOTED.findall(finding.message):
            if text in lists.starts[key]:
                span = line_of(source, lists.starts[key][text])
                lines.setdefault(span, Label(span, "in the list"))
    return replace(finding, secondary=(*finding.secondary, *lines.values())) if lines else finding


def _about(span: Span, node: tree.ListFile) -> bool:
    """Whether a stretch holds a list, or is a name, behind which one may stand."""
    if span.source is node.span.source and span.start <= node.span.start and node.span.end <= span.end:
        return True
    return span.text != "" and '"' not in span.text


def _starts(source: Source, node: tree.ListFile) -> dict[str, int]:
    """Where the line of each text begins, the first one. A cell of several lines has none."""
    found: dict[str, int] = {}
    for start, text in texts_of(source, node):
        found.setdefault(text, start)
    return found


def texts_of(source: Source, node: tree.ListFile) -> Iterator[tuple[int, str]]:
    """Each text of a list with the place where its line begins. Cells of several lines are left out."""
    lines = ((start, line) for start, line in rows(source.text) if line.strip() and line.lstrip()[0] != COMMENT)
    if node.column is None:
        yield from ((start, normal(line.strip())) for start, line in lines)
        return
    head: list[str] | None = None
    for start, line in lines:
        cells = [normal(cell.strip()) for cell in next(csv.reader([line]))]
        if head is None:
            head = cells
        elif len(cells) == len(head):
            row = dict(zip(head, cells, strict=True))
            if node.where is None or row.get(node.where.column.value) == node.where.value.value.strip():
                yield start, row.get(node.column.value, "")
