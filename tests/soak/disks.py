"""OUT on a disk that is full after so many bytes: one line and nothing left, or a whole OUT. Needs leave to mount."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.soak.command import Pair, finished, line, recipe, tree, words


def why_not() -> str | None:
    """Why no disk can be mounted here, None where one can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "mounting a tmpfs needs root"
    try:
        with disk(Path("/tmp") / f".soak-{os.getpid()}", 64):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no tmpfs can be mounted ({error})"


@contextlib.contextmanager
def disk(at: Path, kibibytes: int) -> Iterator[Path]:
    """A disk of that size."""
    at.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(at)], check=True, capture_output=True
        )
        try:
            yield at
        finally:
            subprocess.run(["umount", str(at)], check=True, capture_output=True)
    finally:
        at.rmdir()


def fill(at: Path, pair: Pair, count: int) -> Counter[str]:
    """`count` disks from 8 KiB to half as much again as the output, and one on which there is room in any case.

    All but the last are found full while writing: room is not asked for. What asks for it, on disks of the same
    sizes, refuses or writes a whole OUT too.

    Raises AssertionError: half an OUT, something left behind, a traceback, or a base that is not what it was.
    """
    at.mkdir()
    base, form, whole = pair.base, pair.form, pair.whole
    given, untouched, seen = recipe(at), tree(base.at), Counter[str]()
    most = 3 * pair.size // 2048 + 64
    sizes = [8 + (most - 8) * i // max(count - 2, 1) for i in range(count - 1)] + [most + 4096]
    for kibibytes, unforeseen in ((size, unforeseen) for size in sizes for unforeseen in (True, False)):
        with disk(at / "disk", kibibytes) as place:
            out = place / "out"
            code, said, _ = finished(words(base, given, form, out), at / "said", unforeseen)
            if code == 0:
                assert tree(out) == whole, f"{kibibytes} KiB: half an OUT"
                seen["whole OUT"] += 1
            else:
                line(code, said)
                left = [path.name for path in place.iterdir()]
                assert not left, f"{kibibytes} KiB: left behind {left}"
                seen["full while writing" if unforeseen else "refused beforehand"] += 1
        assert tree(base.at) == untouched, "the base was touched"
    return seen
