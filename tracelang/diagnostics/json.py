"""Findings as one JSON object: `{"format_version": 1, "diagnostics": […]}`, each as `diagnostics.data` has it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tracelang.diagnostics.data import as_data
from tracelang.diagnostics.diagnostic import Diagnostic


def render(findings: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """All findings; `colour` is for the formats that people read."""
    told = {"format_version": 1, "diagnostics": [as_data(finding) for finding in findings]}
    return json.dumps(told, indent=2) + "\n"
