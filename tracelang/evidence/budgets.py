"""A budget as a command gives it: `rows=40,iterations=200`."""

from __future__ import annotations

import difflib
from dataclasses import fields
from math import isfinite

from tracelang.evidence.attacks import AttackError, Budget
from tracelang.evidence.errors import EvidenceError

MOST = {"int": 1_000_000, "float": 1_000.0}
"""More than these is a slip of the pen, whatever the field."""


def read(text: str) -> Budget:
    """The default budget with the fields that are named. Raises EvidenceError naming the field, and what fits."""
    kinds = {field.name: str(field.type).partition(" ")[0] for field in fields(Budget)}
    given: dict[str, int | float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise EvidenceError(f"--budget {part}: write NAME=VALUE, as in rows=40")
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(kinds)}"
            raise EvidenceError(f"--budget: there is no {name}; {hint}")
        if name in given:
            raise EvidenceError(f"--budget: {name} is given twice; leave one out")
        given[name] = _number(name, kinds[name], value)
    try:
        return Budget(**given)  # type: ignore[arg-type]
    except AttackError as error:
        raise EvidenceError(f"--budget {text}: {error}") from error


def _number(name: str, kind: str, value: str) -> int | float:
    try:
        found: int | float = int(value) if kind == "int" else float(value)
    except ValueError:
        found = float("nan")
    if not (isfinite(found) and 0 <= found <= MOST[kind]):
        what = f"a whole number up to {MOST[kind]:,}" if kind == "int" else f"a number from 0 to {MOST[kind]:g}"
        raise EvidenceError(f"--budget {name}={value}: {name} is {what}")
    return found
