"""From a file to a source: size and encoding are checked before anything else looks at it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tracelang.diagnostics import Findings, Source, Span
from tracelang.records import dataclass

if TYPE_CHECKING:
    from pathlib import Path

MAX_RECIPE_BYTES = 1 << 20
MAX_LIST_BYTES = 16 << 20
BOM = b"\xef\xbb\xbf"

Texts = Mapping["Path", str]
"""What files hold in an editor that has not saved them, by their paths with all links followed."""


@dataclass(frozen=True, slots=True)
class Read:
    """A text file as it was read."""

    source: Source
    data: bytes

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""
        import hashlib  # brings OpenSSL, which a lint does without

        return hashlib.sha256(self.data).hexdigest()


def read(
    path: str | Path, shown: str, limit: int, report: Findings, at: Span | None = None, unsaved: Texts | None = None
) -> Read | None:
    """Read UTF-8 text of at most `limit` bytes. A problem is reported at `at`, or at the file itself."""
    here = at or Span(Source(shown, ""), 0, 0)
    held = unsaved.get(path) if unsaved and not isinstance(path, str) else None
    if held is not None:
        return decode(held.encode("utf-8", "surrogatepass"), shown, limit, report, at)
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            report.error("TL108", f"`{shown}` is not a file", here)
            return None
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be one"
        report.error("TL108", f"`{shown}` cannot be read: {reason.lower()}", here)
        return None
    return decode(data, shown, limit, report, at)


def decode(data: bytes, shown: str, limit: int, report: Findings, at: Span | None = None) -> Read | None:
    """The text of a file's bytes. What is no UTF-8 is located at its own line and column."""
    if len(data) > limit:
        here = at or Span(Source(shown, ""), 0, 0)
        size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
        report.error("TL106", f"`{shown}` is larger than {size}", here, help="split it")
        return None
    bare = data.removeprefix(BOM)
    try:
        text = bare.decode()
    except UnicodeDecodeError as error:
        start = len(bare[: error.start].decode("utf-8", "replace"))
        source = Source(shown, bare.decode("utf-8", "replace"))
        span = Span(source, start, min(start + 1, len(source.text)))
        report.error("TL105", "this is not UTF-8", span, help="save the file as UTF-8")
        return None
    return Read(Source(shown, text), data)
