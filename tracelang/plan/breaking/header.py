"""What the header promises: the model families, and against whom."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic
from tracelang.plan.breaking.version import Version, less
from tracelang.semantics import tables

THREATS = (*tables.THREATS, "")


def header(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Families that the recipe no longer supports, and a threat that it no longer counters."""
    was, now = before.plan.recipe, after.plan.recipe
    gone = [family for family in was.supports if family not in now.supports]
    if gone:
        families = ", ".join(gone)
        yield _less(before, after, "supports", f"the recipe no longer supports {families}", f"add {families} to")
    if THREATS.index(now.threat) > THREATS.index(was.threat):
        yield _less(before, after, "threat", f"the recipe is no longer meant for {was.threat}", "put back")


def _less(before: Version, after: Version, field: str, message: str, again: str) -> Diagnostic:
    was, now = (_shown(getattr(version.plan.recipe, field)) for version in (before, after))
    there = before.places.header(field) if before.places else None
    help = f"{again} `{field} = {was}`" if field == "threat" else f"{again} `{field}`"
    return less("TL423", message, help, after.here.header(field), there, f"{field} = {was}", now or f"no {field}")


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
