"""The words for syntax errors, loaded from JSON.

Its keys are states of the parse table, so it names the table that it was derived with (see `derive`). Only a file with
a syntax error loads it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tracelang.syntax.table import FOLDER, TABLE

MESSAGES = Path(FOLDER, "messages.json")
COMMAND = "run python -m tracelang.syntax.derive"


@dataclass(frozen=True, slots=True)
class Phrases:
    """What should follow in a state, an example of what began with one, and help on tokens and unreadable characters.

    The keys of `help`: `STATE TOKEN` for a place, `STATE … TOKEN` for all that is inside of it. TOKEN is a word, a
    mark or a token's type, or nothing for whatever comes.
    """

    table: str
    expected: dict[str, str]
    example: dict[str, str]
    help: dict[str, str]
    character: dict[str, str]

    def helps(self, stack: list[int], token: str) -> str:
        """The help for a token after the settled `stack`: that of the place, else of the innermost state around it."""
        around = (self.help.get(f"{state} … {token}") for state in reversed(stack))
        return self.help.get(f"{stack[-1]} {token}") or next(filter(None, around), "")


@cache
def phrases() -> Phrases:
    """The phrases that ship. RuntimeError if they belong to another table."""
    found = Phrases(**json.loads(MESSAGES.read_bytes()))
    if found.table != digest():
        raise RuntimeError(f"{MESSAGES.name} was derived with another {Path(TABLE).name}: {COMMAND}")
    return found


def digest() -> str:
    """Which parse table there is."""
    return hashlib.sha256(Path(TABLE).read_bytes()).hexdigest()
