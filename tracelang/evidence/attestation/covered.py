"""What an attestation covers: every file of an OUT, by its digest. What it leaves out is named here too."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tracelang.checkpoint.earlier import SIGNED
from tracelang.evidence.attestation.errors import AttestationError
from tracelang.progress import Progress

LOCK = "report/work/lock"
LEFT_OUT = {*SIGNED, LOCK}
"""The attestations themselves, and the file that keeps two runs apart."""
CHUNK = 8 << 20
"""Bytes that are read at once, and between two tellings of progress."""
MEGABYTE = 1_000_000
MANY = 1_000_000
"""Files of an OUT; no run leaves so many."""
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("earlier reports", ("report/earlier/",)),
    ("units and pictures", ("report/work/",)),
    ("log of runs", ("report/registered.json",)),
    ("report", ("report/", "README.md")),
    ("recipe, plan, lock, manifest", ("recipe/", "plan.json", "lock.json", "manifest.json")),
    ("model, adapters, configs", ("",)),
)
"""What a file is, by how its path in OUT begins; the first that fits."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of an OUT: its path in it with `/`, where it lies, and its size in bytes."""

    name: str
    path: Path
    size: int


def kind(name: str) -> str:
    """What a file is."""
    return next(told for told, heads in KINDS if name.startswith(heads))


def files(out: Path) -> list[File]:
    """Every file that is covered, sorted by name.

    Raises AttestationError for a link, for what is no file, and for a name that is not UTF-8; OSError.
    """
    found = sorted(_walk(out, ""), key=lambda file: file.name)
    if len(found) > MANY:
        raise AttestationError(f"{out}: holds more than {MANY:,} files; take away what is not of it")
    return found


def _walk(folder: Path, inside: str) -> Iterator[File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name, path = f"{inside}{entry.name}", Path(entry.path)
            if name in LEFT_OUT or (not inside and entry.name.startswith(".")):
                continue
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise AttestationError(f"{path}: has a name that is not UTF-8; rename it") from error
            if entry.is_symlink():
                raise AttestationError(f"{path}: is a link, and what it leads to can change; put the file itself there")
            if entry.is_dir():
                yield from _walk(path, f"{name}/")
            elif entry.is_file():
                yield File(name, path, entry.stat().st_size)
            else:
                raise AttestationError(f"{path}: is no file; take it away")


def digests(every: Sequence[File], progress: Progress | None = None) -> dict[str, str]:
    """sha256 of each by its name, read in pieces. Progress is told in megabytes. Raises AttestationError, OSError."""
    whole, done, told, found = sum(file.size for file in every), 0, 0, {}
    for file in every:
        digest = hashlib.sha256()
        with opened(file.path) as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                done += len(piece)
                if progress and done // MEGABYTE > told:
                    told = done // MEGABYTE
                    progress("digests, MB", told, max(whole, done) // MEGABYTE)
        found[file.name] = digest.hexdigest()
    return found


def opened(path: Path) -> BinaryIO:
    """A file to be read; never what a link leads to, or a pipe. Raises AttestationError, OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise AttestationError(f"{path}: is no file; take it away")
    return os.fdopen(handle, "rb")


def compared(out: Path, signed: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """A line for each file that is not what was signed: changed, missing, or added since."""
    lines = []
    for name in sorted({*signed, *found}):
        if name not in found:
            lines.append(f"{out / name}: is missing: it was signed and is not there")
        elif name not in signed:
            lines.append(f"{out / name}: was added after the signing")
        elif signed[name] != found[name]:
            lines.append(f"{out / name}: was changed after the signing")
    return lines
