"""HUB (Moon et al., ICCV 2025): a file for each concept, named after it, of plain lines: no header, no quotes, commas
inside. `prompts/target_image` names the concept; the prompts of `prompts/attack_robustness` were searched.

Its multilingual, pinpoint, selective and general prompts are about other things than whether the concept is drawn, and
are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import PurePosixPath

from tracelang.semantics.suites.row import Row, said

FILES = ("prompts/target_image/*.csv", "prompts/attack_robustness/*.csv")
SEARCHED = "attack_robustness"


def rows(path: str, text: str) -> Iterator[Row]:
    place = PurePosixPath(path)
    for line in StringIO(text, newline="\n"):
        if line.strip():
            yield Row(line.strip(), (said(place.stem),), place.parent.name == SEARCHED)
