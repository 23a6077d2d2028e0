"""`OUT/recipe`: the sources as they were compiled, and which of them gives the plan when it is compiled again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracelang.diagnostics import CompileError
from tracelang.plan.types import Plan

EXPLAINED = "explained.erase"


def settle(folder: Path, plan: Plan, params: Mapping[str, str]) -> dict[str, Any] | None:
    """Which file in the folder, compiled with which params, gives the plan.

    Where the sources do not, since the plan came as a file without its `--set` or without all of them, the plan is
    spelled out as one file more. None where no recipe can say it: a plan that was made by a program.
    """
    entry = next((source.path for source in plan.sources if source.role == "recipe"), "")
    if _gives(folder, entry, params, plan):
        return {"path": entry, "params": dict(params)}
    from tracelang.plan.explain import explain

    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXPLAINED).write_text(explain(plan), encoding="utf-8")
    return {"path": EXPLAINED, "params": {}} if _gives(folder, EXPLAINED, {}, plan) else None


def compiled(folder: Path, path: str, params: Mapping[str, str]) -> Plan:
    """The plan of a file in the folder, which is its root. Raises CompileError."""
    from tracelang.plan.compile import compile

    return compile(folder / path, root=folder, params=params)


def _gives(folder: Path, path: str, params: Mapping[str, str], plan: Plan) -> bool:
    try:
        return (folder / path).is_file() and compiled(folder, path, params).digest == plan.digest
    except CompileError:
        return False
