"""One set of findings in every format, read back as its readers read it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sarif_pydantic import Sarif

from tracelang.diagnostics import Diagnostic, Edit, Findings, Fix, Label, Source, Span
from tracelang.diagnostics.formats import FORMATS, render
from tracelang.diagnostics.human import MIN_WIDTH, render_one
from tracelang.syntax.parser import parse

SOURCE = Source("a b/r,1:2%.erase", 'erase "x"\n\tpreserve "k\u00e4se \u732b" degree\nend\n')


def finding(severity: str = "error", start: int = 11, end: int = 19, **more: object) -> Diagnostic:
    return Diagnostic("TL101", severity, "50% gone:\nnext, \x1b[31mred", Label(Span(SOURCE, start, end)), **more)  # type: ignore[arg-type]


FIX = Fix("say `keep`", (Edit(Span(SOURCE, 11, 19), "keep"), Edit(Span(SOURCE, 0, 0), "# \n")))
FINDINGS = [
    finding(help="do this", note="for that", fix=FIX, secondary=(Label(Span(SOURCE, 0, 5), "here"),)),
    finding("warning", 6, 25),
    finding("note", 0, 0),
    Diagnostic("TL108", "error", "gone", Label(Span(Source("/nowhere/x.erase", ""), 0, 0))),
]


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_lets_a_finding_steer_the_terminal(name: str) -> None:
    assert "\x1b" not in render(name, FINDINGS)
    assert ("\x1b[1;31m" in render(name, FINDINGS, colour=True)) == (name in {"human", "concise"})


def test_concise() -> None:
    lines = render("concise", FINDINGS).splitlines()
    assert lines[0] == r"a b/r,1:2%.erase:2:2: error[TL101]: 50% gone:\nnext, \x1b[31mred"
    assert lines[3] == "/nowhere/x.erase:1:1: error[TL108]: gone" and len(lines) == 4


def test_json_has_everything() -> None:
    first, *others = json.loads(render("json", FINDINGS))["diagnostics"]
    assert first["message"] == FINDINGS[0].message and first["secondary"][0]["text"] == "here"
    assert [one["fix"] for one in others] == [None] * 3
    assert first["fix"]["safe"] and first["fix"]["message"] == "say `keep`"
    edit, insertion = first["fix"]["edits"]
    assert (edit["line"], edit["column"], edit["end_line"], edit["end_column"], edit["text"]) == (2, 2, 2, 10, "keep")
    assert (insertion["column"], insertion["end_column"], insertion["text"]) == (1, 1, "# \n")


def test_sarif() -> None:
    log = json.loads(render("sarif", FINDINGS))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["TL101", "TL108"]
    assert all(rule[key]["text"] for rule in rules for key in ("shortDescription", "fullDescription", "help"))
    results = run["results"]
    assert [result["level"] for result in results] == ["error", "warning", "note", "error"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b/r%2C1%3A2%25.erase", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 2, "startColumn": 2, "endLine": 2, "endColumn": 10}
    assert results[1]["locations"][0]["physicalLocation"]["region"]["endLine"] == 2
    (fix,) = results[0]["fixes"]
    (change,) = fix["artifactChanges"]
    assert [one["insertedContent"]["text"] for one in change["replacements"]] == ["keep", "# \n"]
    assert results[0]["relatedLocations"][0]["message"]["text"] == "here"
    elsewhere = results[3]["locations"][0]["physicalLocation"]
    assert elsewhere == {"artifactLocation": {"uri": "file:///nowhere/x.erase"}}


def test_sarif_names_a_file_below_the_working_folder_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = Diagnostic("TL101", "error", "x", Label(Span(Source(str(tmp_path / "d" / "r.erase"), "x"), 0, 1)))
    result = json.loads(render("sarif", [one]))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "d/r.erase"


@pytest.mark.parametrize("name", [b"a b#c?%:\xc3\xa9.erase", b"odd\xff\n.erase", b"../up.erase"])
def test_sarif_names_a_file_by_its_bytes(name: bytes) -> None:
    one = Diagnostic("TL101", "error", "x", Label(Span(Source(os.fsdecode(name), "x"), 0, 1)))
    result = json.loads(render("sarif", [one]))["runs"][0]["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[\w.%/-]+", uri, re.A) and unquote_to_bytes(uri) == name


def test_sarif_is_what_a_reader_of_sarif_takes() -> None:
    log = Sarif.model_validate_json(render("sarif", FINDINGS))
    assert len(log.runs[0].results) == len(FINDINGS)


def test_github_escapes_what_would_end_a_command() -> None:
    lines = render("github", FINDINGS).splitlines()
    assert len(lines) == len(FINDINGS)
    commands = [re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line) for line in lines]
    assert all(commands)
    kinds, properties, messages = zip(*(match.groups() for match in commands if match), strict=True)
    assert kinds == ("error", "warning", "notice", "error")
    fields = dict(field.split("=") for field in properties[0].split(","))
    assert fields == {
        "title": "error[TL101]",
        "file": "a b/r%2C1%3A2%25.erase",
        "line": "2",
        "endLine": "2",
        "col": "2",
        "endColumn": "10",
    }
    assert "col=" not in properties[1] and "line=" not in properties[3]
    assert messages[0] == r"50%25 gone:%0Anext, \x1b[31mred%0Ahelp: do this%0Anote: for that"


def test_junit() -> None:
    suites = ElementTree.fromstring(render("junit", FINDINGS))
    cases = suites.findall("testsuite/testcase")
    assert [len(case.findall("failure")) for case in cases] == [1, 1, 0, 1]
    assert suites.get("failures") == "3" and suites.get("tests") == "4"
    assert ElementTree.fromstring(render("junit", [])).get("failures") == "0"


@given(st.text(min_size=1), st.text())
def test_junit_is_well_formed_whatever_the_text(text: str, path: str) -> None:
    one = Diagnostic("TL101", "error", text, Label(Span(Source(path, text), 0, len(text))), help=text, note=path)
    ElementTree.fromstring(render("junit", [one]))


@given(st.text(st.sampled_from('ab \t\u732b\u0301"'), min_size=1, max_size=400), st.integers(10, 200), st.data())
def test_marks_stand_under_what_they_mark(text: str, width: int, data: st.DataObject) -> None:
    from unicodedata import combining, east_asian_width

    def columns(shown: str) -> int:
        return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in shown)

    start = data.draw(st.integers(0, len(text) - 1))
    one = Diagnostic("TL101", "error", "m", Label(Span(Source("x", text), start, start + 1)))
    lines = render_one(one, width=width).splitlines()
    shown, marks = lines[3].removeprefix("1 |")[1:], lines[4].removeprefix("  |")[1:]
    assert columns(shown) + 4 <= max(width, MIN_WIDTH + 10)
    before = marks.index("^")
    shown += " " * 4 * len(text)  # spaces at the end of a line are not shown
    rest = ""
    for c in shown:
        if columns(rest) >= before and not (combining(c) and not combining(text[start])):
            break
        rest += c
    assert columns(rest) == before
    at = shown[len(rest) :]
    assert at.startswith(text[start].replace("\t", "    ")) or text[start] in " \t\u0301"


def test_a_terminal_gets_wrapped_texts() -> None:
    one = finding(help="word " * 60, fix=FIX)
    assert max(map(len, render_one(one, width=60).splitlines())) <= 60
    assert "  = fix: say `keep`\n" in render_one(one)
    unsafe = finding(fix=Fix("x", (), safe=False))
    assert "= unsafe fix: x" in render_one(unsafe)


def test_a_fix_mends_what_the_lexer_found() -> None:
    text = "erase \u201ccat\u201d; Preserve dog"
    report = Findings()
    assert parse(Source("x", text), report) is None
    fix = report.findings[0].fix
    assert fix is not None and fix.safe
    (edit,) = fix.edits
    assert text[: edit.span.start] + edit.text + text[edit.span.end :] == 'erase "cat"; Preserve dog'
