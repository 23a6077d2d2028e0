"""What is read more than once has to stay what it is: weights are checked, hashed, loaded and copied, hours apart.

A file is known by its inode, its size and when it was last written to. When it changed otherwise is left out, for one
more hard link to it is such a change, and `--untouched link` makes one. No byte is read. Torch-free.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tracelang.models.inside import files
from tracelang.models.single import reference
from tracelang.plan.family import ModelError

Seen = Mapping[Path, tuple[int, int, int] | None]
"""Files as they were at a moment; None: was not there."""


def seen(paths: Iterable[Path]) -> Seen:
    """These files as they are now."""
    return {path: _facts(path) for path in paths}


def checkpoint(folder: Path) -> Seen:
    """All files of a checkpoint as they are now; of a folder that stands for a single file, that one too, and those of
    the components that it has from elsewhere.
    """
    parts, single = [folder], []
    if reference.origin(folder) is not None:
        parts += [part for part in folder.iterdir() if part.is_symlink()]
        single = [reference.source(folder)]
    held = (part / path for part in parts for some in files(part) for path in some)
    return seen((*(path for path in held if path.is_file()), *single))


def refuse(before: Seen) -> None:
    """Raise ModelError naming the first file that is no longer what it was."""
    for path, facts in before.items():
        if _facts(path) != facts:
            raise ModelError(f"{path}: was written to since this command began; run it again")


@contextmanager
def throughout(before: Seen) -> Iterator[None]:
    """`refuse` at the end of the block, and in the place of an error in it, which may come of a file that changed."""
    try:
        yield
    except Exception:
        refuse(before)
        raise
    refuse(before)


def _facts(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
