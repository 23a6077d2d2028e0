"""What a model refuses of a plan, as findings with the place in the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Source, Span
from tracelang.plan.bind import BindError
from tracelang.plan.family import FamilyError, ModelError
from tracelang.plan.layers import SelectionError
from tracelang.plan.windows import WindowError

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

REFUSALS: dict[type[Exception], str] = {
    FamilyError: "TL604",
    WindowError: "TL605",
    SelectionError: "TL606",
    BindError: "TL607",
    ModelError: "TL608",
}
"""The code of each refusal; of a kind of another, the more special first."""
Refusal = FamilyError | WindowError | SelectionError | BindError | ModelError


def refused(error: Refusal, recipe: str, params: Mapping[str, str], root: Path | None) -> Diagnostic:
    """The finding; where it is of the recipe, at the setting that the error names."""
    code = next(code for kind, code in REFUSALS.items() if isinstance(error, kind))
    message, _, help = str(error).partition("; ")
    return Diagnostic(code, "error", message, Label(_place(error, recipe, params, root)), help=help)


def _place(error: Refusal, recipe: str, params: Mapping[str, str], root: Path | None) -> Span:
    """Of a plan file, of standard input, which is read already, and of what no statement says: all of it."""
    from tracelang.plan.compile import located

    nowhere = Span(Source("<stdin>" if recipe == "-" else recipe, ""), 0, 0)
    if recipe == "-" or recipe.endswith(".json") or type(error) is ModelError:
        return nowhere
    from tracelang.semantics.rules.subject import Subject

    resolution = located(Path(recipe), root=root, params=params, shown=recipe)
    if resolution is None:
        return nowhere
    subject = Subject(resolution)
    return _supports(subject) if isinstance(error, FamilyError) else subject.place(getattr(error, "at", ""))


def _supports(subject: Subject) -> Span:
    from tracelang.syntax import tree

    headers = (node for node in subject.file.statements if isinstance(node, tree.Recipe))
    return next((node.name.span for node in headers), subject.head)
