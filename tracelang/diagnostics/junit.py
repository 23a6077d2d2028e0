"""Findings as JUnit XML, one test case each: errors and warnings fail, notes and what is allowed pass."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from tracelang.diagnostics.diagnostic import Diagnostic
from tracelang.diagnostics.human import render_one
from tracelang.diagnostics.repository import NO_FILES
from tracelang.text import safe


def render(findings: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """All findings; without any, one case that passes. `colour` is for the formats that people read."""
    found = list(findings)
    failures = sum(_fails(finding) for finding in found)
    counts = {"tests": str(max(len(found), 1)), "failures": str(failures), "errors": "0"}
    suites = ElementTree.Element("testsuites", {"name": "tracec", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "tracec", **counts})
    for finding in found:
        _case(suite, finding)
    if not found:
        ElementTree.SubElement(suite, "testcase", name="no findings", classname="tracec")
    ElementTree.indent(suites)
    # XML cannot hold control characters or halves of surrogate pairs: `safe` has escaped them
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, "unicode") + "\n"


def _case(suite: ElementTree.Element, finding: Diagnostic) -> None:
    span = finding.primary.span
    path = safe(span.source.path)
    line, column = span.source.position(span.start)
    case = ElementTree.SubElement(suite, "testcase", name=f"{finding.code} {line}:{column}", classname=path)
    if path not in NO_FILES:
        case.attrib |= {"file": path, "line": str(line)}
    tag = "failure" if _fails(finding) else "system-out"
    outcome = ElementTree.SubElement(case, tag)
    outcome.text = render_one(finding)
    if tag == "failure":
        outcome.attrib |= {"type": finding.severity, "message": safe(finding.message)}


def _fails(finding: Diagnostic) -> bool:
    return finding.severity != "note" and finding.allowed is None
