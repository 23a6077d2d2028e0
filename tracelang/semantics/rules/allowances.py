"""`# tracec: allow TL401 reason`: comments that silence a warning on their own line.

A comment that stands alone on its line speaks for the next line that is more than a comment. Several codes may stand
side by side. Errors and notes cannot be allowed.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracelang.diagnostics import Diagnostic, Span
from tracelang.records import dataclass, field
from tracelang.syntax import tree

MARK = "tracec:"
WORD = "allow"


@dataclass(slots=True)
class Allowance:
    """What a comment says: codes, and why. `line` is the one that it speaks for, `used` what it silenced there."""

    word: str
    codes: tuple[str, ...]
    reason: str
    span: Span
    line: int
    used: set[str] = field(default_factory=set)


def allowances(file: tree.File) -> tuple[Allowance, ...]:
    """Every comment of a file that begins with `tracec:`."""
    found = []
    for comment in file.comments:
        text = comment.text.lstrip("#").strip()
        if text.startswith(MARK):
            word, _, rest = text[len(MARK) :].strip().partition(" ")
            codes, reason = _split(rest)
            found.append(Allowance(word, codes, reason, comment.span, _line(file, comment.span)))
    return tuple(found)


def silenced(findings: Iterable[Diagnostic], given: tuple[Allowance, ...]) -> list[Diagnostic]:
    """The findings that no allowance covers; the allowances remember what they covered."""
    by_line: dict[int, list[Allowance]] = {}
    for one in given:
        if one.word == WORD:
            by_line.setdefault(one.line, []).append(one)
    return [finding for finding in findings if not (by_line and _covered(finding, by_line))]


def _covered(finding: Diagnostic, by_line: dict[int, list[Allowance]]) -> bool:
    span = finding.primary.span
    if finding.severity != "warning":
        return False
    for one in by_line.get(span.source.position(span.start)[0], ()):
        if finding.code in one.codes and one.span.source is span.source:
            one.used.add(finding.code)
            return True
    return False


def _split(text: str) -> tuple[tuple[str, ...], str]:
    """Leading codes, and the reason after them."""
    words = text.split()
    count = 0
    while count < len(words) and _is_code(words[count].strip(",")):
        count += 1
    return tuple(word.strip(",") for word in words[:count]), " ".join(words[count:])


def _is_code(word: str) -> bool:
    return len(word) == 5 and word.startswith("TL") and word[2:].isdigit()


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
