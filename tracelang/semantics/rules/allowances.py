"""`# tracec: allow TL401 reason`: comments that silence a warning on their own line.

A comment that stands alone on its line speaks for the statement that begins on the next line which is more than a
comment. A comment holds where its file is included. Several codes may stand
side by side. Errors and notes cannot be allowed.
"""

from __future__ import annotations

import re

from tracelang.diagnostics import Diagnostic, Findings, Span
from tracelang.records import dataclass, field, replace
from tracelang.syntax import tree

MARK = "tracec:"
NEARLY = re.compile(r"tracec\s*:?\s*allow\b", re.IGNORECASE)
WORD = "allow"


@dataclass(slots=True)
class Allowance:
    """What a comment says: codes, and why. It speaks for the lines from `line` to `last`; `used` is what it silenced
    there.
    """

    word: str
    codes: tuple[str, ...]
    reason: str
    span: Span
    line: int
    last: int
    used: set[str] = field(default_factory=set)


def allowances(file: tree.File) -> tuple[Allowance, ...]:
    """Every comment of a file that begins with `tracec:`, or nearly."""
    found = []
    for comment in file.comments:
        text = comment.text.lstrip("#").lstrip(" \t;").rstrip()
        if text.startswith(MARK):
            word, _, rest = text[len(MARK) :].strip().partition(" ")
        elif NEARLY.match(text):
            word, rest = "", ""
        else:
            continue
        codes, reason = _split(rest)
        line = _line(file, comment.span)
        found.append(Allowance(word, codes, reason, comment.span, line, _last(file, comment.span, line)))
    return tuple(found)


def silence(report: Findings, given: tuple[Allowance, ...]) -> None:
    """Set the findings aside that an allowance covers, each with the reason; the allowances remember their codes."""
    by_line: dict[int, list[Allowance]] = {}
    for one in given:
        for line in range(one.line, one.last + 1) if one.word == WORD else ():
            by_line.setdefault(line, []).append(one)
    if not by_line:
        return
    found = report.findings[:]
    report.findings.clear()
    for finding in found:
        given_for = _allowance(finding, by_line)
        if given_for is None:
            report.findings.append(finding)
        else:
            report.allowed.append(replace(finding, allowed=given_for.reason))


def _allowance(finding: Diagnostic, by_line: dict[int, list[Allowance]]) -> Allowance | None:
    span = finding.primary.span
    if finding.severity != "warning":
        return None
    for one in by_line.get(span.source.position(span.start)[0], ()):
        if finding.code in one.codes and one.span.source is span.source:
            one.used.add(finding.code)
            return one
    return None


def _split(text: str) -> tuple[tuple[str, ...], str]:
    """Leading codes, and the reason after them."""
    words = text.split()
    count = 0
    while count < len(words) and _is_code(words[count].strip(",")):
        count += 1
    return tuple(word.strip(",") for word in words[:count]), " ".join(words[count:])


def _is_code(word: str) -> bool:
    return len(word) == 5 and word.startswith("TL") and word[2:].isdigit()


def _last(file: tree.File, span: Span, line: int) -> int:
    """The last line that a comment speaks for: of the statement below it, where it stands alone."""
    position = file.source.position
    if line == position(span.start)[0]:
        return line
    ends = (position(one.span.end)[0] for one in file.statements if position(one.span.start)[0] == line)
    return max(ends, default=line)


def _line(file: tree.File, span: Span) -> int:
    """The line that a comment speaks for."""
    source = file.source
    number, column = source.position(span.start)
    if source.line(number)[: column - 1].strip():
        return number
    last = source.position(len(source.text))[0]
    for line in range(number + 1, last + 1):
        text = source.line(line).strip()
        if text and not text.startswith("#"):
            return line
    return number
