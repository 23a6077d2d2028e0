"""A recipe written back to where it was read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from tracelang.diagnostics.human import safe

BOM = b"\xef\xbb\xbf"


def rewrite(path: Path, before: bytes, text: str) -> None:
    """Put a text in place of a file, whole or not at all; a link, the file's mode and a byte order mark stay.

    `before` is what was read: a file that has changed since is left alone.
    """
    target = path.resolve()
    data = (BOM if before.startswith(BOM) else b"") + text.encode("utf-8")
    try:
        if target.read_bytes() != before:
            raise click.ClickException(safe(f"{path} changed while it was read: nothing is written"))
        handle, name = tempfile.mkstemp(prefix=target.name, suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(name, target.stat().st_mode & 0o7777)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise click.ClickException(safe(f"cannot write {path}: {reason}")) from error


def difference(path: str, before: str, after: str) -> str:
    """The change as a unified diff."""
    from difflib import unified_diff

    rows = []
    path = path.lstrip("/")
    for row in unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}"):
        rows.append(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n")
    return "".join(rows)
