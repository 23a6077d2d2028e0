"""A list of plain lines: its texts, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tracelang.diagnostics import Findings, Source
from tracelang.semantics.rows import COMMENT, MAX_FINDINGS, doubtful, rows
from tracelang.syntax import tree
from tracelang.syntax.text import foreign, normal, plain


def lines(source: Source, node: tree.ListFile, report: Findings) -> tuple[str, ...] | None:
    """The texts of a list, one a line, without blank lines and comments; None, reported, where there is an error."""
    if node.path.value.lower().endswith((".csv", ".tsv")):
        from tracelang.semantics.columns import without_column

        without_column(source, node, report)
        return None
    if not plain(source.text) and _hidden(source, node, report):
        return None
    taken = [(start, line) for start, line in rows(source.text) if line.strip() and line.lstrip()[0] != COMMENT]
    if foreign(source.text):
        from tracelang.syntax.lookalikes import findings
        from tracelang.syntax.unseen import raw

        alike = (raw(line, start) for start, line in taken if not line.isascii())
        doubtful(findings(source, alike, MAX_FINDINGS), node, report)
    if re.search(DECORATED, source.text, re.M):
        from tracelang.semantics.decorated import warn

        warn(source, taken, node, report)
    return tuple(normal(line.strip()) for _, line in taken)


DECORATED = r"""[\t"'\][{}`*;|\u201c\u2022]|^[ ]*-|[,:][ ]*\r?$| #|//|,[^ ]"""
"""What is in every file that `decorated` has something to say about, and in few others."""


def _hidden(source: Source, node: tree.ListFile, report: Findings) -> bool:
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
