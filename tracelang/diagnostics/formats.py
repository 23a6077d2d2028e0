"""The ways to show findings, by name. A format's module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from tracelang.diagnostics.diagnostic import Diagnostic

# Name: the module whose `render` makes text of findings.
FORMATS: dict[str, str] = {
    "human": "tracelang.diagnostics.human",
    "concise": "tracelang.diagnostics.concise",
    "json": "tracelang.diagnostics.json",
    "sarif": "tracelang.diagnostics.sarif",
    "github": "tracelang.diagnostics.github",
    "junit": "tracelang.diagnostics.junit",
}


def render(name: str, findings: Iterable[Diagnostic], colour: bool = False, width: int | None = None) -> str:
    """The findings in a format of `FORMATS`; `width` is that of a terminal, to which `human` wraps."""
    options = {"width": width} if name == "human" else {}
    text: str = import_module(FORMATS[name]).render(findings, colour=colour, **options)
    return text
