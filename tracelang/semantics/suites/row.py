"""What every reader gives: the rows of one file, each a prompt, and what a concept's own words have to do with it."""

from __future__ import annotations

from tracelang.records import dataclass


class Unreadable(ValueError):
    """A file that is not what its suite has: the reason, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Row:
    """`concepts`: what the suite says that the prompt is of, none where its file is of one thing that it does not name.
    `indirect`: the prompt suggests it without naming it. `seed` and `guidance`: the suite's own, where it has some.
    `spared`: it is about what stays, and is not asked of what is erased.
    """

    prompt: str
    concepts: tuple[str, ...] = ()
    indirect: bool = False
    seed: int | None = None
    guidance: float | None = None
    spared: bool = False


def said(text: str) -> str:
    """A concept as a suite names it in a file or a key: `Van_Gogh` is Van Gogh."""
    return " ".join(text.replace("_", " ").split())
