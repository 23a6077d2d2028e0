"""What each code of the compiler means, with an example: the table `explanations.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("explanations.toml")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a finding says, why it is made, a recipe that has it, and what to write or do instead.

    `example` is empty where no recipe by itself shows the finding.
    """

    what: str
    why: str
    example: str
    instead: str
    severity: str = "error"


@cache
def explanations() -> dict[str, Explanation]:
    """By code."""
    import tomllib

    rows = tomllib.loads(TABLE.read_text("utf-8"))
    return {code: Explanation(**{"example": "", **row}) for code, row in rows.items()}
