"""Findings one a line: `path:line:column: severity[code]: message`."""

from __future__ import annotations

from collections.abc import Iterable

from tracelang.diagnostics.diagnostic import Diagnostic
from tracelang.diagnostics.human import painted
from tracelang.text import safe


def render(findings: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """All findings, one line each."""
    return "".join(
        f"{safe(d.location)}: {painted(f'{d.severity}[{d.code}]', d.severity, colour)}: {_said(d)}\n" for d in findings
    )


def _said(finding: Diagnostic) -> str:
    reason = "" if finding.allowed is None else f" (allowed: {finding.allowed or 'without a reason'})"
    return safe(finding.message + reason)
