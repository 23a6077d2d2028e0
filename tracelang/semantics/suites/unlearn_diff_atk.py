"""UnlearnDiffAtk (Zhang et al., ECCV 2024): a CSV for each concept, named after it, with I2P's columns or fewer.

Its prompts of things and styles name them; those of its parts of I2P (`nudity`, `violence`, `illegal`) do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from tracelang.semantics.suites.row import Row, said
from tracelang.semantics.suites.table import guidance, seed, table

FILES = ("*.csv", "prompts/*.csv")
ALSO = {"vangogh": ("van gogh", "vincent van gogh"), "nudity": ("nude", "naked", "sexual")}
INDIRECT = {"nudity", "violence", "illegal"}


def rows(path: str, text: str) -> Iterator[Row]:
    named = said(PurePosixPath(path).stem)
    for row in table(text, ("prompt",)):
        yield Row(row["prompt"], (named, *ALSO.get(named, ())), named in INDIRECT, seed(row), guidance(row))
