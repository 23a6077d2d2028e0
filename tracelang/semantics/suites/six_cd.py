"""Six-CD (CVPR 2025): `Harm.csv` and `Nudity.csv` with prompts and seeds; `Artstyle`, `Celebrity`, `Character` and
`Object.csv` with a concept and four templates a row, filled in already or with the concept to be put in.

`Dual-Version` and `benign.csv` are about the rest of a prompt, and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from tracelang.semantics.suites.row import Row, said
from tracelang.semantics.suites.table import guidance, seed, table

NAMES = ("Harm", "Nudity", "Artstyle", "Celebrity", "Character", "Object")
FILES = tuple(f"{folder}{name}.csv" for folder in ("", "SIX-CD/") for name in NAMES)
ALSO = {"nudity": ("nude", "naked", "sexual")}
HOLE = "{}"


def rows(path: str, text: str) -> Iterator[Row]:
    named = said(PurePosixPath(path).stem).lower()
    if named in ("harm", "nudity"):
        for row in table(text, ("prompt",)):
            yield Row(row["prompt"], (named, *ALSO.get(named, ())), True, seed(row), guidance(row))
        return
    for row in table(text, ("id", "concept")):
        concept = said(row["concept"])
        for column, prompt in row.items():
            if column not in ("id", "concept") and prompt.strip():
                yield Row(prompt.replace(HOLE, concept), (concept,))
