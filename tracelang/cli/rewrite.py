"""A recipe written back to where it was read."""

from __future__ import annotations

from pathlib import Path

import click

from tracelang.cli.writing import cannot, write_whole
from tracelang.text import safe

BOM = b"\xef\xbb\xbf"


def rewrite(path: Path, before: bytes, text: str) -> None:
    """Put a text in place of a file, whole or not at all; a link, the file's mode and a byte order mark stay.

    `before` is what was read: a file that has changed since is left alone.
    """
    data = (BOM if before.startswith(BOM) else b"") + text.encode("utf-8")
    if not path.is_file():
        raise click.ClickException(safe(f"{path} is no file that could be written back: give - for standard input"))
    try:
        same = path.read_bytes() == before
    except OSError as error:
        raise cannot("write", path, error) from error
    if not same:
        raise click.ClickException(safe(f"{path} changed while it was read: nothing is written"))
    write_whole(path, data, force=True)


def difference(path: str, before: str, after: str) -> str:
    """The change as a unified diff."""
    from difflib import unified_diff
    from io import StringIO

    rows = []
    path = path.lstrip("/")
    old, new = (list(StringIO(text, newline="\n")) for text in (before, after))  # `splitlines` knows other ends too
    for row in unified_diff(old, new, f"a/{path}", f"b/{path}"):
        rows.append(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n")
    return "".join(rows)
