"""From a recipe, as a file or as text, to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Findings
from tracelang.semantics.config import root_in
from tracelang.semantics.program import File
from tracelang.syntax.read import MAX_RECIPE_BYTES, decode, read

if TYPE_CHECKING:
    from tracelang.plan.types import Plan
    from tracelang.semantics.resolve import Resolution

TEXT = "<recipe>"


def compile(
    recipe: str | Path,
    *,
    root: str | Path | None = None,
    params: Mapping[str, str | float] | None = None,
) -> Plan:
    """Compile a recipe: a `Path`, or a string that ends with `.erase`, is a file; other strings are the recipe itself.

    `root` is the folder that imports and lists may not leave (default: the configuration's, else the git root around
    the recipe, else its folder); `params` overrides params as `--set` does: `{"degree": "60%"}`, or 0.6. Raises
    CompileError with every diagnostic.
    """
    plan, findings = compile_with_findings(recipe, root=root, params=params)
    if plan is None:
        report = Findings(list(findings))
        report.raise_errors()
    assert plan is not None
    return plan


def compile_with_findings(
    recipe: str | Path,
    *,
    root: str | Path | None = None,
    params: Mapping[str, str | float] | None = None,
    shown: str | None = None,
    folder: Path | None = None,
) -> tuple[Plan | None, list[Diagnostic]]:
    """The plan, or None, and everything that was found, warnings and notes too. `shown` names a text in messages, whose
    paths start at `folder` (default: this one).
    """
    report = Findings()
    resolution, file, wall = _resolved(recipe, root, params, shown, report, folder)
    if resolution is None:
        return None, report.in_order()
    from tracelang.semantics.rules import examine

    examine(resolution, report, root=wall)
    # Pydantic costs more than all of the above: it is not imported where there is nothing to lower.
    from tracelang.plan.lower import lower

    return lower(resolution.program, file), report.in_order()


def located(
    recipe: str | Path,
    *,
    root: str | Path | None = None,
    params: Mapping[str, str | float] | None = None,
    shown: str | None = None,
) -> Resolution | None:
    """The tree and the program of a recipe, whose spans say where the parts of its plan were written."""
    return _resolved(recipe, root, params, shown, Findings())[0]


def _is_path(recipe: str | Path, shown: str | None) -> bool:
    if isinstance(recipe, Path):
        return True
    return shown is None and recipe.endswith(".erase") and "\n" not in recipe and '"' not in recipe


def _resolved(
    recipe: str | Path,
    root: str | Path | None,
    params: Mapping[str, str | float] | None,
    shown: str | None,
    report: Findings,
    folder: Path | None = None,
) -> tuple[Resolution | None, File, Path]:
    """What a recipe means, the file that it is, and its root."""
    path = Path(recipe) if _is_path(recipe, shown) else None
    folder = path.parent if path else folder or Path()
    wall = Path(root) if root is not None else Path(root_in(folder))
    if path:
        found = read(path, shown or str(recipe), MAX_RECIPE_BYTES, report)
    else:
        data = str(recipe).encode("utf-8", "surrogatepass")
        found = decode(data, shown or TEXT, MAX_RECIPE_BYTES, report)
    from tracelang.semantics.resolve import resolve
    from tracelang.syntax.parser import recover

    file = recover(found.source, report) if found else None
    if found is None or file is None:
        return None, File("", b"", "recipe"), wall
    name = _inside(_name(path, wall) if path else found.source.path)
    resolution = resolve(file, report, folder=folder, root=wall, given=params, path=path)
    return resolution, File(name, found.data, "recipe"), wall


def root_of(recipe: str | Path) -> Path:
    """The recipe root where none is given: the configuration's, else the git root around the recipe, else its folder
    (for a text: this one). Raises CompileError where a configuration is wrong.
    """
    return Path(root_in(Path(recipe).parent if _is_path(recipe, None) else ""))


def _inside(name: str) -> str:
    """What a recipe is called in its plan, whatever system reads that: of a place outside the root, the last part."""
    parts = name.replace("\\", "/").split("/")
    outside = not parts[0] or parts[0][1:] == ":" or ".." in parts
    return (parts[-1] or TEXT) if outside else name


def _name(recipe: Path, root: Path) -> str:
    """The path inside the root, as text: what is no UTF-8 in a file's name is escaped."""
    path = recipe.resolve()
    home = root.resolve()
    name = path.relative_to(home).as_posix() if path.is_relative_to(home) else path.name
    return name.encode(errors="backslashreplace").decode()
