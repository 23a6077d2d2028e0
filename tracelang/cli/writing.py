"""A recipe onto the disk or to standard output: whole or not at all, and never over another one unasked."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from tracelang.diagnostics.human import safe


def write_recipe(target: str, text: str, *, force: bool) -> None:
    """Write `text` to the file `target`, which must not exist without `force`; `-` is standard output."""
    if target == "-":
        sys.stdout.buffer.write(text.encode())
        return
    path = Path(target)
    if path.is_dir():
        raise click.ClickException(safe(f"{target} is a folder: name a file in it"))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            if force:
                os.replace(name, path)
            else:
                os.link(name, path)  # unlike a rename, fails where there is a file already
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError as error:
        raise click.ClickException(safe(f"{target} is there already: --force replaces it")) from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise click.ClickException(safe(f"cannot write {target}: {reason}")) from error
