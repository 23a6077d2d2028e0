"""Findings as one JSON object: `{"diagnostics": […]}`, each as `diagnostics.data` has it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tracelang.diagnostics.data import as_data
from tracelang.diagnostics.diagnostic import Diagnostic


def render(findings: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """All findings; `colour` is for the formats that people read."""
    return json.dumps({"diagnostics": [as_data(finding) for finding in findings]}, indent=2) + "\n"
