"""What lists of lines and lists of cells share: their rows, and how something is said of them."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Findings, Label, Source, Span
from tracelang.syntax import tree

COMMENT = "#"


def rows(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a file, without their ends, and where each begins. LF and CR LF end a line, and nothing else."""
    start = 0
    for line in text.split("\n"):
        yield start, line.removesuffix("\r")
        start += len(line) + 1


def warn(source: Source, starts: list[int], message: str, help: str, node: tree.ListFile, report: Findings) -> None:
    """A warning at the `list` about lines of its file: the first of them, and how many there are."""
    if starts:
        more = f" (and {len(starts) - 1:,} more)" if len(starts) > 1 else ""  # at the label: findings are counted too
        span = line_of(source, starts[0])
        place = f"{source.path}:{source.position(starts[0])[0]}"
        also = [Label(span, f"here{more}")]
        report.warning("TL228", f"{place}: {message}", node.span, also=also, help=help)


def doubtful(found: list[Diagnostic], node: tree.ListFile, report: Findings) -> None:
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
