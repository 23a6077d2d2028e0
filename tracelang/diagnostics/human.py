"""Findings for a reader: message, place, the line with its spans marked, help and note.

Plain ASCII marks; colour only where the caller says that a terminal shows it. Source text is data: control and
other unprintable characters are shown escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import groupby

from tracelang.diagnostics.diagnostic import Diagnostic, Label
from tracelang.diagnostics.source import Source
from tracelang.text import safe

MAX_WIDTH = 120
MIN_WIDTH = 20
TAB = "    "
COLOURS = {"error": "1;31", "warning": "1;33", "note": "1;36", "gutter": "1;34", "bold": "1"}


def render(findings: Iterable[Diagnostic], *, colour: bool = False, width: int | None = None) -> str:
    """All findings, one paragraph each."""
    return "\n".join(render_one(finding, colour=colour, width=width) for finding in findings)


def painted(text: str, role: str, colour: bool) -> str:
    """A text in the colour of a role, where colour is wanted."""
    return f"\x1b[{COLOURS[role]}m{text}\x1b[0m" if colour and text else text


def render_one(finding: Diagnostic, *, colour: bool = False, width: int | None = None) -> str:
    """One finding, several lines, with a final newline.

    `width`: the columns of the terminal that shows it; long texts are wrapped to it. Without one they are not.
    """
    paint = partial(painted, colour=colour)
    severity = finding.severity
    mark = f"{severity}[{finding.code}]"
    head = _wrapped(f"{mark}: {safe(finding.message)}", width, "  ")
    lines = [paint(mark, severity) + paint(head.removeprefix(mark), "bold")]
    labels = [(finding.primary, "^"), *((label, "-") for label in finding.secondary)]
    sources: list[Source] = []
    for label, _ in labels:
        if not any(source is label.span.source for source in sources):
            sources.append(label.span.source)
    numbers = [label.span.source.position(label.span.start)[0] for label, _ in labels]
    margin = " " * len(str(max(numbers)))
    bar = paint("|", "gutter")
    room = MAX_WIDTH if width is None else max(MIN_WIDTH, width - len(margin) - len(" | ......"))
    for source in sources:
        here = [(label, mark) for label, mark in labels if label.span.source is source]
        line, column = source.position(here[0][0].span.start)
        arrow = "-->" if source is sources[0] else ":::"
        place = safe(source.path) if not source.text else f"{safe(source.path)}:{line}:{column}"
        lines.append(f"{margin}{paint(arrow, 'gutter')} {place}")
        if not source.text:
            continue
        lines.append(f"{margin} {bar}")
        here.sort(key=lambda one: one[0].span.start)
        previous = 0
        for number, group in groupby(here, key=lambda one: source.position(one[0].span.start)[0]):
            if previous and number > previous + 1:
                lines.append(f"{margin} {paint(':', 'gutter')}")
            previous = number
            text, rows = _snippet(source, number, list(group), room)
            lines.append(f"{paint(str(number).rjust(len(margin)), 'gutter')} {bar} {text}".rstrip())
            for row, mark in rows:
                lines.append(f"{margin} {bar} {paint(row, severity if mark == '^' else 'gutter')}")
    fix = finding.fix
    offer = fix.message if fix else ""
    for word, text in (
        ("help", finding.help),
        ("fix" if fix and fix.safe else "unsafe fix", offer),
        ("note", finding.note),
        ("allowed", "" if finding.allowed is None else finding.allowed or "without a reason"),
    ):
        if text:
            head = f"{margin} = {word}: "
            shown = _wrapped(head + safe(text), width, " " * len(head)).removeprefix(head)
            lines.append(f"{margin} {paint('=', 'gutter')} {paint(word, 'bold')}: {shown}")
    return "\n".join(lines) + "\n"


def _snippet(
    source: Source, number: int, labels: list[tuple[Label, str]], room: int
) -> tuple[str, list[tuple[str, str]]]:
    """The line as shown, at most `room` columns of it, and under it one row of marks a label."""
    line = source.line(number)
    first = labels[0][0].span.start - (source.position(labels[0][0].span.start)[1] - 1)
    primary = next((label for label, mark in labels if mark == "^"), labels[0][0])
    cut, end_of_cut = _visible(line, primary.span.start - first, room)
    shown = line[cut:end_of_cut]
    head = "..." if cut else ""
    tail = "..." if end_of_cut < len(line) else ""
    rows = []
    for label, mark in sorted(labels, key=lambda one: one[1] != "^"):
        start = min(max(label.span.start - first - cut, 0), len(shown))
        end = min(max(label.span.end - first - cut, start), len(shown))
        indent = " " * (len(head) + _width(shown[:start]))
        rows.append((f"{indent}{mark * max(_width(shown[start:end]), 1)} {safe(label.text)}".rstrip(), mark))
    return head + _expanded(shown) + tail, rows


def _visible(line: str, middle: int, room: int) -> tuple[int, int]:
    """The stretch of a line around a place that fills at most `room` columns."""
    if len(line) <= room and _width(line) <= room:
        return 0, len(line)
    start, used = min(middle, len(line)), 0
    while start > 0 and used + (step := _width(line[start - 1])) <= room // 2:
        start, used = start - 1, used + step
    end = min(middle, len(line))
    while end < len(line) and used + (step := _width(line[end])) <= room:
        end, used = end + 1, used + step
    while start > 0 and used + (step := _width(line[start - 1])) <= room:
        start, used = start - 1, used + step
    return start, end


def _wrapped(text: str, width: int | None, indent: str) -> str:
    if width is None or len(text) <= width:
        return text
    from textwrap import wrap

    lines = wrap(text, max(width, MIN_WIDTH + len(indent)), subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines) if len(lines) > 1 else text


def _expanded(text: str) -> str:
    return safe(text.replace("\t", TAB))


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    shown = _expanded(text)
    if shown.isascii():
        return len(shown)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in shown)
