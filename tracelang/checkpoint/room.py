"""What can be known of the place of an output before there is one: has it room, and can it hold hard links?"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracelang.checkpoint import patch
from tracelang.checkpoint.output import OutputError

LEAST, SHARE = 1 << 20, 0.02
"""Bytes, and part of what is copied, that have to be free besides: for adapters and records."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What a form will write: copies of files, other names of files, and at most so many bytes of its own."""

    copies: tuple[Path, ...] = ()
    links: tuple[Path, ...] = ()
    own: int = 0


def refuse(out: Path, needed: Iterable[Needed]) -> None:
    """Raise OutputError where `out` could not be written for want of room or of hard links.

    Where the file system shares blocks between files copies need no room. A file system that does not tell its size is
    believed.
    """
    nearest = next(path for path in out.absolute().parents if path.is_dir())
    forms = list(needed)
    files = [path for form in forms for path in form.copies]
    links = [path for form in forms for path in form.links]
    if links:
        _link(links[0], nearest)
    copied = 0 if not files or _shares_blocks(files[0], nearest) else sum(path.stat().st_size for path in files)
    own = sum(form.own for form in forms)
    if not copied + own:
        return
    spare = LEAST + int(SHARE * copied)
    told = os.statvfs(nearest)
    free = told.f_bavail * told.f_frsize
    if told.f_blocks and free < copied + own + spare:
        takes = [f"{_bytes(copied)} of copies"] * bool(copied) + [f"up to {_bytes(own)} of new files"] * bool(own)
        raise OutputError(
            f"{out}: takes {', '.join(takes)} and {_bytes(spare)} beside, and {nearest} has {_bytes(free)} free; "
            "make room there, or choose another place"
        )


def _link(source: Path, place: Path) -> None:
    with _draft(place) as draft:
        try:
            patch.link(source, draft / "link")
        except OSError as error:
            raise OutputError(
                f"{source}: cannot be hard-linked into the output ({error.strerror}); pass --untouched copy"
            ) from error


def _shares_blocks(source: Path, place: Path) -> bool:
    with _draft(place) as draft:
        return patch.shared(source, draft / "clone")


@contextlib.contextmanager
def _draft(place: Path) -> Iterator[Path]:
    try:
        held = tempfile.TemporaryDirectory(prefix=".tracec-", dir=place)
    except OSError as error:
        raise OutputError(f"{place}: cannot be written ({error.strerror}); choose another place") from error
    with held as name:
        yield Path(name)


def _bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
