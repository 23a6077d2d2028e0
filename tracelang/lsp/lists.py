"""Inside of list files: their columns and cells, and where a text of a recipe stands in them."""

from __future__ import annotations

import csv

from tracelang.diagnostics import Findings, Source, Span
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.mentions import Mention
from tracelang.semantics.paths import locate
from tracelang.semantics.rows import COMMENT, rows
from tracelang.semantics.rules.references import leaves
from tracelang.syntax import tree
from tracelang.syntax.read import MAX_LIST_BYTES, read
from tracelang.syntax.text import normal

MAX_ROWS = 10_000
"""So many rows of a list are looked at for what an editor offers."""


def source(documents: Documents, document: Document, node: tree.ListFile) -> Source | None:
    """The text of a list file, as the editor has it."""
    located = locate(document.place, node.path, "list", Findings())
    if located is None:
        return None
    found = read(
        located.path, located.path.as_posix(), MAX_LIST_BYTES, Findings(), node.span, unsaved=documents.unsaved()
    )
    return found.source if found is not None else None


def table(text: str) -> list[list[str]]:
    """The first rows of a CSV, NFC, as far as they can be read; the head first."""
    found: list[list[str]] = []
    lines = (line + "\n" for _, line in rows(text) if line.strip() and not line.startswith(COMMENT))
    try:
        for row in csv.reader(lines, strict=True):
            found.append([normal(cell.strip()) for cell in row])
            if len(found) == MAX_ROWS:
                break
    except csv.Error:
        pass
    return found


def columns(text: str) -> list[str]:
    """The names of a CSV's columns."""
    head = table(text[: text.find("\n", 1 << 16) if len(text) > 1 << 16 else len(text)])[:1]
    return [cell for row in head for cell in row if cell]


def cells(text: str, column: str) -> list[str]:
    """What the cells of a column hold, each once."""
    head, *rest = table(text) or [[]]
    if column not in head:
        return []
    at = head.index(column)
    return list(dict.fromkeys(row[at] for row in rest if at < len(row) and row[at]))


def place(documents: Documents, document: Document, mention: Mention) -> Span | None:
    """Where a list begins, its column is named, or the text that a recipe speaks of stands in it."""
    if mention.sort == "text":
        for leaf in leaves(mention.owner):
            found = source(documents, document, leaf) if isinstance(leaf, tree.ListFile) else None
            line = _line(found, mention.name) if found is not None else None
            if line is not None:
                return line
        return None
    owner = mention.owner
    if mention.sort == "list":
        owner = tree.ListFile(tree.Text(mention.name, span=mention.span), None, span=mention.span)
    found = source(documents, document, owner)
    if found is None:
        return None
    line = _line(found, mention.name) if mention.sort != "list" else None
    return line or Span(found, 0, 0)


def _line(found: Source, text: str) -> Span | None:
    """The first line that holds a text as a whole, or as a cell."""
    for start, line in rows(found.text):
        at = line.find(text)
        while at >= 0:
            before, after = line[:at].rstrip(), line[at + len(text) :].lstrip()
            if (not before or before[-1] in ',"') and (not after or after[0] in ',"'):
                return Span(found, start + at, start + at + len(text))
            at = line.find(text, at + 1)
    return None
