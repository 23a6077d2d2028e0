"""Findings as plain data, for `--json`."""

from __future__ import annotations

from typing import Any

from tracelang.diagnostics.diagnostic import Diagnostic, Fix, Label


def as_data(finding: Diagnostic) -> dict[str, Any]:
    """A finding as JSON-ready data; lines and columns from 1, ends exclusive. `allowed`: the reason, null where none
    allows it.
    """
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "primary": _label(finding.primary),
        "secondary": [_label(label) for label in finding.secondary],
        "help": finding.help,
        "note": finding.note,
        "fix": _fix(finding.fix) if finding.fix else None,
        "allowed": finding.allowed,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    """`text` of an edit is what goes in the place of its stretch."""
    edits = [_label(Label(edit.span, edit.text)) for edit in fix.edits]
    return {"message": fix.message, "safe": fix.safe, "edits": edits}


def _label(label: Label) -> dict[str, Any]:
    line, column = label.span.source.position(label.span.start)
    end_line, end_column = label.span.source.position(label.span.end)
    return {
        "path": label.span.source.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "text": label.text,
    }
