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
