"""Garbage collection, which a short command is better off without."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Collect nothing inside, nor when the process ends.

    A recipe makes trees, not garbage: collecting walks them again and again and finds nothing, a third of a lint's
    time and more the longer the recipe is. What there is at the end, the system takes back faster than Python.
    """
    collects = gc.isenabled()
    gc.disable()
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        if collects:
            gc.enable()
