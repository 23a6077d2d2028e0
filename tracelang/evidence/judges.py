"""Judges: what looks at a picture and says what it shows. Plugins of the entry point group `tracelang.judges`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol

from torch import Tensor

Seen = Mapping[str, str]
"""One picture's labels, by head: `{"concept": "dog", "style": "noto", "background": "red"}`."""


class Judge(Protocol):
    """Looks at pictures. Any exception is the caller's to record; a judge never guesses in place of failing."""

    name: str
    digest: str
    """sha256 of its weights."""

    def look(self, images: Tensor) -> Sequence[Seen]:
        """Labels of images `[n, 3, H, W]` in 0..1. Raises ValueError on pixels that are not finite."""
        ...


def load(name: str) -> Judge:
    """The judge of that name. Raises LookupError naming the judges there are."""
    found = {entry.name: entry for entry in entry_points(group="tracelang.judges")}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise LookupError(f"no judge {name!r}; known: {known}")
    judge: Judge = found[name].load()()
    return judge
