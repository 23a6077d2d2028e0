"""A declarative language and compiler for removing concepts from text-to-image models.

    plan = tracelang.compile("recipe.erase")
    applied = tracelang.apply(tracelang.bind(plan, "micro-sd"))
    applied.save("out")

Importing this package imports nothing else: each name below brings its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracelang.api import apply, bind, verify
    from tracelang.diagnostics import CompileError, Diagnostic
    from tracelang.plan.compile import compile
    from tracelang.plan.load import load_plan
    from tracelang.plan.types import Plan
    from tracelang.version import __version__

EXPORTS = {
    "__version__": "tracelang.version",
    "CompileError": "tracelang.diagnostics",
    "Diagnostic": "tracelang.diagnostics",
    "Plan": "tracelang.plan.types",
    "apply": "tracelang.api",
    "bind": "tracelang.api",
    "compile": "tracelang.plan.compile",
    "load_plan": "tracelang.plan.load",
    "verify": "tracelang.api",
}

__all__ = ["CompileError", "Diagnostic", "Plan", "__version__", "apply", "bind", "compile", "load_plan", "verify"]


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        return getattr(import_module(EXPORTS[name]), name)
    raise AttributeError(f"module 'tracelang' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *EXPORTS})
