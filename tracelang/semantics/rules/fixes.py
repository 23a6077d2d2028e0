"""Fixes put into the text that they are for."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterable

from tracelang.diagnostics import Diagnostic, Edit, Source

Change = tuple[int, int, str]
"""Where an edit starts and ends, and what it puts there."""


def mended(source: Source, findings: Iterable[Diagnostic]) -> str:
    """The text with the safe fixes made. A fix that meets an earlier one, or another file, is left for later, whole."""
    made: list[Change] = []
    for finding in findings:
        fix = finding.fix
        if fix is None or not fix.safe or any(edit.span.source is not source for edit in fix.edits):
            continue
        fresh = [change for change in map(_change, fix.edits) if not _among(change, made)]
        if not any(_meets(change, made) for change in fresh):
            for change in fresh:
                insort(made, change)
    parts = []
    at = 0
    for start, end, text in made:
        parts += [source.text[at:start], text]
        at = end
    return "".join([*parts, source.text[at:]])


def _change(edit: Edit) -> Change:
    return edit.span.start, edit.span.end, edit.text


def _among(change: Change, made: list[Change]) -> bool:
    at = bisect(made, change)
    return at > 0 and made[at - 1] == change


def _meets(change: Change, made: list[Change]) -> bool:
    """Whether a change touches one that is made: then it was meant for a text that is no longer there."""
    at = bisect(made, change)
    before = at > 0 and made[at - 1][1] >= change[0]
    return before or (at < len(made) and made[at][0] <= change[1])
