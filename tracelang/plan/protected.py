"""The words of a plan's protected concepts: what no prompt that is drawn, sampled or attacked with may hold."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from tracelang.plan.types import Plan

if TYPE_CHECKING:
    from tracelang.semantics.protected import Guard


def guard(plan: Plan) -> Guard | None:
    """What tells which texts speak of something protected; None, and nothing to be loaded, where nothing is."""
    named = tuple(
        (text, one.name) for one in plan.concepts if one.kind == "protected" for text in (*one.names, *one.probes)
    )
    return _guard(named) if named else None


def refuse(plan: Plan, texts: Iterable[str], error: type[Exception]) -> None:
    """Raise `error` where one of the texts, which are to be drawn or sampled, speaks of something protected.

    Everything that makes pictures or trajectories asks here first. A plan of this compiler has no such prompts of its
    own; one that was written by hand may, and what an attack finds may be anything.
    """
    wall = guard(plan)
    if wall is not None:
        wall.refuse(texts, error)


def involved(plan: Plan) -> str | None:
    """The first protected concept that the passes would have to do with: a target, an anchor, or preserved."""
    members = [member for one in plan.active for member in (one.targets, one.anchor or ())]
    members += [one.concepts for one in plan.preserve]
    closed = {one.name for one in plan.concepts if one.kind == "protected"}
    return next((name for member in members for name in member if name in closed), None)


@lru_cache(16)
def _guard(named: tuple[tuple[str, str], ...]) -> Guard:
    from tracelang.semantics.protected import Guard

    return Guard(named)
