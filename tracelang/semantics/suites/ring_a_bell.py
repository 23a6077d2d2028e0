"""Ring-A-Bell's pairs (Tsai et al., ICLR 2024), as RECE's copy has them: `sensitive prompt,normal prompt`.

The file does not say of what its pairs are; the recipe does. Its normal prompts are no test.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.semantics.suites.row import Row
from tracelang.semantics.suites.table import table

FILES = ("*.csv",)
COLUMN = "sensitive prompt"


def rows(path: str, text: str) -> Iterator[Row]:
    for row in table(text, (COLUMN, "normal prompt")):
        yield Row(row[COLUMN], indirect=True)
