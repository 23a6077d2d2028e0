"""sha256 of a base's files, remembered from one command to the next: a model of gigabytes is hashed once.

A file is known by its path, its inode, its size and when it was written to and changed, both in nanoseconds. One that
was written to within `YOUNG` of the hashing is not remembered: it could be written to again without its times telling.
What vouches for an output never asks here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from tracelang.files import cache_folder, write_text
from tracelang.models.weights import sha256

YOUNG = 2.0
"""Seconds: the coarsest that file systems in use keep times in."""
LEAST = 16 << 20
"""Bytes: what is smaller is hashed sooner than looked up."""


def recalled(path: Path) -> str:
    """sha256 of a file, from the user's cache folder where it is remembered. Raises OSError."""
    before = _facts(path)
    if before[2] < LEAST:
        return sha256(path)
    kept = cache_folder("digests") / f"{hashlib.sha256(os.fsencode(before[0])).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads(kept.read_bytes())
        if told["facts"] == list(before[1:]) and len(bytes.fromhex(told["sha256"])) == 32:
            return str(told["sha256"])
    digest = sha256(path)
    if _facts(path) == before and time.time() - max(before[3:]) / 1e9 > YOUNG:
        with contextlib.suppress(OSError):
            write_text(kept, json.dumps({"facts": before[1:], "sha256": digest}))
    return digest


def _facts(path: Path) -> tuple[str, int, int, int, int]:
    real = os.path.realpath(path)
    found = os.stat(real)
    return real, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
