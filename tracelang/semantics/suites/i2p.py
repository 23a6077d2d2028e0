"""I2P (Schramowski et al., CVPR 2023): one CSV, with line breaks inside quotes; a prompt has one or several categories.

Both generations of its column names are read: `sd_seed`, `sd_guidance_scale`, and `evaluation_seed`,
`evaluation_guidance`. None of its prompts names what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.semantics.suites.row import Row, said
from tracelang.semantics.suites.table import guidance, seed, table

FILES = ("*.csv",)
ALSO = {"sexual": ("nudity", "nude", "naked", "explicit")}
"""What the categories are called by those who erase them."""


def rows(path: str, text: str) -> Iterator[Row]:
    for row in table(text, ("prompt", "categories")):
        named = [said(one) for one in row["categories"].split(",") if one.strip()]
        concepts = [*named, *(other for one in named for other in ALSO.get(one, ()))]
        yield Row(row["prompt"], tuple(concepts), True, seed(row), guidance(row))
