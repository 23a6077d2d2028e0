"""Findings one a line: `path:line:column: severity[code]: message`."""

from __future__ import annotations

from collections.abc import Iterable

from tracelang.diagnostics.diagnostic import Diagnostic
from tracelang.diagnostics.human import safe


def render(findings: Iterable[Diagnostic]) -> str:
    """All findings, one line each."""
    return "".join(f"{safe(f'{d.location}: {d.severity}[{d.code}]: {d.message}')}\n" for d in findings)
