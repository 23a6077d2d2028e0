"""What a command writes: to standard output, or to a path that the user names."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracelang.files import descriptor, put
from tracelang.text import safe


def write_text(target: str, text: str, *, force: bool) -> None:
    """Write `text` to the file `target`, which must not exist without `force`; `-` is standard output."""
    if is_standard_output(target):
        sys.stdout.buffer.write(text.encode())
        return
    if Path(target).is_dir():
        raise click.ClickException(safe(f"{target} is a folder: name a file in it"))
    write_whole(Path(target), text.encode(), force=force)


def is_standard_output(target: str) -> bool:
    """Is it `-`, or another name of the same, such as `/dev/stdout`?"""
    return target == "-" or descriptor(target) == 1


def write_whole(path: Path, data: bytes, *, force: bool) -> None:
    """Write all of a file or nothing, as `tracelang.files.put` does. Raises ClickException."""
    try:
        put(path, data, force=force)
    except FileExistsError as error:
        raise click.ClickException(safe(f"{path} is there already: --force replaces it")) from error
    except (OSError, ValueError) as error:
        raise cannot("write", path, error) from error


def cannot(do: str, path: Path, error: OSError | ValueError) -> click.ClickException:
    """What a user is told of an error of the file system."""
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return click.ClickException(safe(f"cannot {do} {path}: {reason}"))
