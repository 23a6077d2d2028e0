"""What is wrong with a rating."""

from __future__ import annotations

MOST = 40
"""So many lines are told of one thing; the rest is counted."""


class RatingError(Exception):
    """What cannot be rated, or what is wrong with what raters gave: `lines`, a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__(lines[0] if lines else "")
        more = len(lines) - MOST
        self.lines = (*lines[:MOST], f"and {more:,} more lines of this sort") if more > 0 else lines
