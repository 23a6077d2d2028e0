"""Reading a plan file back: only what this version wrote, and only untouched, is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from tracelang.diagnostics import CompileError, Diagnostic, Findings, Label, Source, Span
from tracelang.plan.types import FORMAT_VERSION, Plan
from tracelang.syntax.read import read

MAX_PLAN_BYTES = 64 << 20
APPLY = "; if it lies in a folder that `tracec apply` wrote, apply that again"


def load_plan(path: str | Path) -> Plan:
    """The plan in a file. Raises CompileError, located, where the file is no plan, of another version, or changed."""
    report = Findings()
    found = read(Path(path), str(path), MAX_PLAN_BYTES, report)
    report.raise_errors()
    assert found is not None
    return parsed(found.source)


def parsed(source: Source) -> Plan:
    """As `load_plan`, of a text that was read."""
    try:
        data: Any = json.loads(source.text)
    except json.JSONDecodeError as error:
        _refuse(source, "TL121", f"this is no plan: {error.msg.lower()}", error.pos)
    except (RecursionError, ValueError):
        _refuse(source, "TL121", "this is no plan: its JSON cannot be read")
    if not isinstance(data, dict) or "format_version" not in data:
        _refuse(source, "TL121", "this is no plan: it has no `format_version`", help=_compile_it(source))
    if data["format_version"] != FORMAT_VERSION:
        version = json.dumps(data["format_version"])[:20]
        message = f"a plan of format {version}; this version reads format {FORMAT_VERSION}"
        _refuse(source, "TL122", message, _find(source, "format_version"), help=f"{_compile_it(source)}{APPLY}")
    stated = data.pop("digest", None)
    try:
        plan = Plan.model_validate_json(json.dumps(data), strict=True)
    except (ValidationError, ValueError, RecursionError) as error:
        where, what = _first(error)
        _refuse(source, "TL121", f"this plan is damaged{where}: {what}", help=_compile_it(source))
    if stated != plan.digest:
        message = "the plan does not match its digest: it was changed after it was compiled"
        _refuse(source, "TL123", message, _find(source, "digest"), help=_compile_it(source))
    return plan


def _compile_it(source: Source) -> str:
    return "compile the recipe again" if source.path.endswith(".json") else "give a plan that `tracec compile` wrote"


def _first(error: Exception) -> tuple[str, str]:
    if not isinstance(error, ValidationError):
        return "", "it cannot be read"
    first = error.errors(include_url=False)[0]
    return f" at `{'.'.join(str(part) for part in first['loc'])}`" if first["loc"] else "", str(first["msg"])


def _find(source: Source, field: str) -> int:
    return max(source.text.find(f'"{field}"'), 0)


def _refuse(source: Source, code: str, message: str, at: int = 0, *, help: str = "") -> NoReturn:
    span = Span(source, at, min(at + 1, len(source.text)))
    raise CompileError([Diagnostic(code, "error", message, Label(span), help=help)])
