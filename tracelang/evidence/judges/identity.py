"""What decides a judge's answers beside its weights: what it was told, and its code."""

from __future__ import annotations

import hashlib
import inspect
from importlib.metadata import entry_points
from pathlib import Path

from tracelang.evidence.judges import Judge
from tracelang.models.weights import sha256


def setting(value: str) -> str:
    """A `--judge NAME=VALUE`'s value; of a file or a folder, wherever it lies, a digest of what is in it."""
    path = Path(value)
    try:
        there = bool(value) and path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        return value
    below = sorted(file for file in path.rglob("*") if _held(file.relative_to(path), file))
    files = [path] if path.is_file() else below
    lines = "".join(f"{file.relative_to(path).as_posix()} {sha256(file)}\n" for file in files)
    return f"files sha256:{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


def code(judge: Judge) -> str:
    """The package that a judge comes from, its version, and a digest of the file that its class is in."""
    kind = type(judge)
    package = kind.__module__.partition(".")[0]
    found = [
        f"{point.dist.name} {point.dist.version}"
        for point in entry_points(group="tracelang.judges")
        if point.dist is not None and point.module.partition(".")[0] == package
    ]
    try:
        own = sha256(Path(inspect.getfile(kind)))[:16]
    except (TypeError, OSError):
        own = "unknown"
    return f"{found[0] if found else kind.__module__}, {kind.__qualname__}, source sha256:{own}"


def _held(inside: Path, file: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in inside.parts)
