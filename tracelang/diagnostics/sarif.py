"""Findings as SARIF 2.1.0, which code scanning takes (https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.diagnostic import Diagnostic, Fix
from tracelang.diagnostics.explanations import explanations
from tracelang.diagnostics.repository import NO_FILES, from_top
from tracelang.diagnostics.source import Span
from tracelang.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(findings: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """One run with all findings; `colour` is for the formats that people read."""
    found = list(findings)
    codes = sorted({finding.code for finding in found})
    driver = {"name": "tracec", "version": __version__, "rules": [_rule(code) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes.index(finding.code)) for finding in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str) -> dict[str, Any]:
    title = CODES.get(code, code)
    known = explanations().get(code)
    full = f"{known.what} {known.why}".strip() if known else title
    help = f"{full}\n\n{known.instead}" if known and known.instead else f"{full}\n\n`tracec rule {code}` explains it."
    return {
        "id": code,
        "shortDescription": {"text": title},
        "fullDescription": {"text": full},
        "help": {"text": help},
    }


def _result(finding: Diagnostic, rule: int) -> dict[str, Any]:
    texts = [finding.message]
    texts += [f"{word}: {text}" for word, text in (("help", finding.help), ("note", finding.note)) if text]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": "\n".join(texts)},
        "locations": [{"physicalLocation": _place(finding.primary.span)}],
    }
    if finding.primary.span.source.path in NO_FILES:
        del result["locations"]
    if finding.allowed is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.allowed}]
    if finding.secondary:
        result["relatedLocations"] = [
            {"id": i, "physicalLocation": _place(label.span), "message": {"text": label.text or "see here"}}
            for i, label in enumerate(finding.secondary)
        ]
    if finding.fix is not None:
        result["fixes"] = [_fix(finding.fix)]
    return result


def _fix(fix: Fix) -> dict[str, Any]:
    paths = dict.fromkeys(edit.span.source.path for edit in fix.edits)
    changes = [
        {
            "artifactLocation": _artifact(path),
            "replacements": [
                {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
                for edit in fix.edits
                if edit.span.source.path == path
            ],
        }
        for path in paths
    ]
    return {"description": {"text": fix.message}, "artifactChanges": changes}


def _place(span: Span) -> dict[str, Any]:
    place = {"artifactLocation": _artifact(span.source.path)}
    return place | {"region": _region(span)} if span.source.text else place


def _artifact(path: str) -> dict[str, str]:
    """A path as a URI, relative to the top of the repository, or to the working folder, where it lies below that."""
    where = from_top(path)
    if os.path.isabs(where):
        return {"uri": Path(where).as_uri()}
    return {"uri": quote(os.fsencode(where)), "uriBaseId": "%SRCROOT%"}


def _region(span: Span) -> dict[str, int]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
