"""What belongs to a folder that somebody gave: nothing that a link leads out of it to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def inside(base: Path) -> Callable[[Path], bool]:
    """Does a path lie in `base`, links followed? A link may lead to another place in it, or to the blobs of the hub
    cache that `base` is a snapshot of.
    """
    homes = [Path(os.path.realpath(base))]
    if homes[0].parent.name == "snapshots":
        homes.append(homes[0].parents[1] / "blobs")
    return lambda path: any(Path(os.path.realpath(path)).is_relative_to(home) for home in homes)


def files(base: Path) -> tuple[list[Path], list[Path]]:
    """The base's files by path inside it, each folder once, hidden entries aside; and what is not to be followed.

    A link may lead to another place in the base, or to the blobs of the hub cache that the base is a snapshot of.
    """
    belongs = inside(base)
    kept, strange, seen = list[Path](), list[Path](), set[str]()
    for root, folders, names in os.walk(base, followlinks=True):
        here, real = Path(root), os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        visible = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in visible if belongs(here / name)]
        strange += [here / name for name in visible if name not in folders]
        for path in (here / name for name in sorted(names) if not name.startswith(".")):
            (kept if path.is_file() and belongs(path) else strange).append(path)
    return [path.relative_to(base) for path in kept], [path.relative_to(base) for path in strange]
