"""The prelude, which every file sees, and the methods that come with the compiler."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tracelang.diagnostics import Findings
from tracelang.semantics.paths import LIBRARY
from tracelang.semantics.scope import Scope, collect
from tracelang.syntax.parser import parse
from tracelang.syntax.read import MAX_RECIPE_BYTES, read

METHODS = LIBRARY / "methods"


@cache
def prelude() -> Scope:
    """The scope of `std/prelude.erase`; methods join it as they are asked for."""
    return _scope(LIBRARY / "std" / "prelude.erase", None)


def method_names() -> list[str]:
    """The methods that come with the compiler."""
    return sorted(path.stem for path in METHODS.glob("*.erase"))


def shipped_method(name: str) -> None:
    """Bring a shipped method into the prelude's scope, if there is one of that name."""
    scope = prelude()
    if name not in scope.definitions["method"] and (METHODS / f"{name}.erase").is_file():
        scope.definitions["method"].update(_scope(METHODS / f"{name}.erase", scope).definitions["method"])


def _scope(path: Path, parent: Scope | None) -> Scope:
    report = Findings()
    found = read(path, path.name, MAX_RECIPE_BYTES, report)
    file = parse(found.source, report) if found else None
    report.raise_errors()
    assert file is not None
    return collect(file, parent, report)
