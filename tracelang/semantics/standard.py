"""The prelude, which every file sees, and the methods that come with the compiler."""

from __future__ import annotations

import os
from functools import cache

from tracelang.diagnostics import Findings
from tracelang.semantics.paths import LIBRARY
from tracelang.semantics.scope import Scope, collect
from tracelang.syntax.parser import parse
from tracelang.syntax.read import MAX_RECIPE_BYTES, read

METHODS = os.path.join(LIBRARY, "methods")


@cache
def prelude() -> Scope:
    """The scope of `std/prelude.erase`; methods join it as they are asked for."""
    return _scope(os.path.join(LIBRARY, "std", "prelude.erase"), None)


def method_names() -> list[str]:
    """The methods that come with the compiler."""
    return sorted(name.removesuffix(".erase") for name in os.listdir(METHODS) if name.endswith(".erase"))


def shipped_method(name: str) -> None:
    """Bring a shipped method into the prelude's scope, if there is one of that name."""
    scope = prelude()
    path = os.path.join(METHODS, f"{name}.erase")
    if name not in scope.definitions["method"] and os.path.isfile(path):
        scope.definitions["method"].update(_scope(path, scope).definitions["method"])


def _scope(path: str, parent: Scope | None) -> Scope:
    report = Findings()
    found = read(path, os.path.basename(path), MAX_RECIPE_BYTES, report)
    file = parse(found.source, report) if found else None
    report.raise_errors()
    assert file is not None
    return collect(file, parent, report)
