"""Garbage collection, which a short command is better off without."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Collect nothing inside.

    A recipe makes trees, and imports make modules, neither of them garbage: collecting walks them again and again and
    finds nothing, a third of a lint's time and more the longer the recipe is. Freezing and thawing hands them over to
    the oldest generation as they are; else the first object that is made afterwards would have them all walked.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.freeze()
            gc.unfreeze()
            gc.enable()
