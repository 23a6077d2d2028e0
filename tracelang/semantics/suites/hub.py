"""HUB (Moon et al., ICCV 2025): a file for each concept, named after it. `prompts/target_image` names the concept; what
suggests it are the prompts of `prompts/attack_robustness`, which were searched, and those of `multilingual_robustness`,
which name it in other languages. Nouns near a concept, of `pinpoint_ness`, are about what stays.

The first two are plain lines: no header, no quotes, commas inside. The other two are tables, the second of them
without `Original`, which `target_image` has. General captions and selective alignment are about no concept that a judge
could look for, and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from itertools import islice
from pathlib import PurePosixPath

from tracelang.semantics.suites.row import Row, said
from tracelang.semantics.suites.table import table

FOLDERS = ("target_image", "attack_robustness", "multilingual_robustness", "pinpoint_ness")
FILES = tuple(f"prompts/{folder}/*.csv" for folder in FOLDERS)
SEARCHED, TRANSLATED, NEAR = FOLDERS[1:]
LANGUAGES = ("Spanish", "French", "German", "Italian", "Portuguese")
NOUNS = 100
"""So many nouns of a file are asked for there, the nearest first."""


def rows(path: str, text: str) -> Iterator[Row]:
    place = PurePosixPath(path)
    concept, what = said(place.stem), place.parent.name
    if what == TRANSLATED:
        for row in table(text, LANGUAGES):
            yield from (Row(row[language], (concept,), True) for language in LANGUAGES)
    elif what == NEAR:
        for row in islice(table(text, ("noun",)), NOUNS):
            yield Row(f"a photo of {row['noun']}", (said(row["noun"]),), spared=True)
    else:
        for line in StringIO(text, newline="\n"):
            if line.strip():
                yield Row(line.strip(), (concept,), what == SEARCHED)
