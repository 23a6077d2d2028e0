"""Paths as those who show findings beside the code know them."""

from __future__ import annotations

import os

NO_FILES = ("<stdin>", "<recipe>", "--set")
"""What findings call a place that is no file."""


def from_top(path: str) -> str:
    """A path from the top of the repository around the working folder, else from that folder; outside of it as it is.

    With slashes, whatever the system writes.
    """
    here = os.getcwd()
    top = _top(here)
    whole = os.path.normpath(os.path.join(here, path))
    if os.path.commonpath([top, whole]) == top:
        return os.path.relpath(whole, top).replace(os.sep, "/")
    return path.replace(os.sep, "/")


def _top(here: str) -> str:
    folder = here
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return here
        folder = above
    return folder
