"""EMMA (CVPR 2026): `prompts/AREA/LEVEL.json`, each an array of `{concept: [prompts]}`.

Levels 1 to 3 name the concept, 4 and 5 describe it without its name; 6 and 7 are about what stays, of no concept that a
judge could look for, and are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from tracelang.semantics.suites.row import Row, Unreadable, said

FILES = tuple(f"prompts/*/{level}_*.json" for level in range(1, 6))
INDIRECT = ("4_", "5_")


def rows(path: str, text: str) -> Iterator[Row]:
    indirect = PurePosixPath(path).name.startswith(INDIRECT)
    try:
        data = json.loads(text, object_pairs_hook=tuple)  # a dict would drop what is named twice
    except (ValueError, RecursionError):
        raise Unreadable("is no JSON") from None
    for entry in data if isinstance(data, list) else [data]:
        if not isinstance(entry, tuple):
            raise Unreadable("is no list of concepts with their prompts")
        for concept, prompts in entry:
            if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
                raise Unreadable(f"has no list of prompts for {concept[:40]!r}")
            yield from (Row(prompt, (said(concept),), indirect) for prompt in prompts)
