"""A file onto the disk: whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from tracelang.diagnostics.human import safe


def write_text(target: str, text: str, *, force: bool) -> None:
    """Write `text` to the file `target`, which must not exist without `force`; `-` is standard output."""
    if target == "-":
        sys.stdout.buffer.write(text.encode())
        return
    if Path(target).is_dir():
        raise click.ClickException(safe(f"{target} is a folder: name a file in it"))
    write_whole(Path(target), text.encode(), force=force)


def write_whole(path: Path, data: bytes, *, force: bool, mode: int | None = None, shown: Path | None = None) -> None:
    """Write all of a file or nothing; `mode` are its permissions, where a new file's are not meant.

    `shown` is what messages call it. Raises ClickException.
    """
    shown = shown or path
    try:
        handle, name = tempfile.mkstemp(prefix=".tracec-", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(name, 0o666 & ~_umask() if mode is None else mode)
            if force:
                os.replace(name, path)
            else:
                os.link(name, path)  # unlike a rename, fails where there is a file already
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError as error:
        raise click.ClickException(safe(f"{shown} is there already: --force replaces it")) from error
    except (OSError, ValueError) as error:
        raise cannot("write", shown, error) from error


def cannot(do: str, path: Path, error: OSError | ValueError) -> click.ClickException:
    """What a user is told of an error of the file system."""
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return click.ClickException(safe(f"cannot {do} {path}: {reason}"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
