"""What the language names and what evidence has a file for: neither without the other, or nothing can be imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules(package: str, path: Iterable[str]) -> dict[str, ModuleType]:
    """Every module of a package, by its name."""
    return {found.name: import_module(f"{package}.{found.name}") for found in iter_modules(path)}


def agree(what: str, rows: Collection[str], files: Collection[str], home: str) -> None:
    """Raises ImportError where a row of the language has no file in `home`, or a file no row."""
    if lacking := sorted(set(rows) - set(files)):
        raise ImportError(f"the language names the {what} {', '.join(lacking)}, and no file of {home} has it")
    if unnamed := sorted(set(files) - set(rows)):
        raise ImportError(f"{home} has the {what} {', '.join(unnamed)}, and the language has no row for it")
