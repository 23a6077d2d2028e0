"""Findings as workflow commands, which GitHub shows as annotations beside the lines of a pull request.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterable

from tracelang.characters import HIDDEN
from tracelang.diagnostics.diagnostic import Diagnostic
from tracelang.diagnostics.repository import NO_FILES, from_top
from tracelang.text import safe

COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(findings: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """One command a finding; `colour` is for the formats that people read."""
    return "".join(_command(finding) for finding in findings)


def _command(finding: Diagnostic) -> str:
    span = finding.primary.span
    path = span.source.path
    if path not in NO_FILES:
        path = from_top(path)
    if not path.isprintable() or HIDDEN.search(path):  # else as it is, for GitHub to find it
        path = _shown(path)
    properties: dict[str, object] = {"title": f"{finding.severity}[{finding.code}]"}
    if path not in NO_FILES:
        properties["file"] = path
    if span.source.text and path not in NO_FILES:
        line, column = span.source.position(span.start)
        end_line, end_column = span.source.position(span.end)
        properties |= {"line": line, "endLine": end_line}
        if line == end_line:  # GitHub refuses columns across lines
            properties |= {"col": column, "endColumn": end_column}
    lines = [finding.message]
    lines += [f"{word}: {text}" for word, text in (("help", finding.help), ("note", finding.note)) if text]
    if finding.allowed is not None:
        lines.append(f"allowed: {finding.allowed or 'without a reason'}")
    kind = COMMANDS["note" if finding.allowed is not None else finding.severity]
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{kind} {shown}::{_data(chr(10).join(map(_shown, lines)))}\n"


def _shown(text: str) -> str:
    return "\n".join(safe(line) for line in text.split("\n"))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
