"""Every rule finds what it says and nothing else, and explains itself. The cases are the text files beside this one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.snippets import snippets
from tracelang.diagnostics import CompileError, Diagnostic, Findings, Source
from tracelang.diagnostics.codes import CODES
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.semantics.resolve import resolve
from tracelang.semantics.rules import RULES, Rule, unused_definition
from tracelang.semantics.rules.fixes import mended
from tracelang.semantics.rules.lint import Lint
from tracelang.semantics.rules.subject import Subject
from tracelang.syntax.parser import parse

HERE = Path(__file__).parent
DAY = date(2026, 11, 23)
LINT = Lint(HERE, HERE, DAY)

CASES = [
    pytest.param(rule, note, text, id=f"{rule.CODE} {note}")
    for rule in RULES
    for note, text in snippets(HERE / f"{rule.__name__.rpartition('.')[2]}.txt")
]
NAMES = [pytest.param(rule, id=rule.CODE) for rule in RULES]


def lint(text: str) -> list[Diagnostic]:
    return LINT.findings(Source("<recipe>", text))


@pytest.mark.parametrize(("rule", "note", "text"), CASES)
def test_case(rule: Rule, note: str, text: str) -> None:
    found = lint(text)
    assert not [d for d in found if d.severity == "error"]
    places = [d.location.removeprefix("<recipe>:") for d in found if d.code == rule.CODE]
    head = note.partition(": ")[0]
    assert places == ([] if head == "good" else head.split(", "))
    assert {d.severity for d in found if d.code == rule.CODE} <= {rule.SEVERITY}


@pytest.mark.parametrize(("rule", "note", "text"), CASES)
def test_safe_fixes_keep_the_digest(rule: Rule, note: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    source = Source("<recipe>", text)
    for one in lint_each_fix(source):
        assert compile(one, root=HERE).digest == compile(text, root=HERE).digest
    after, found = LINT.mended(source)
    assert compile(after.text, root=HERE).digest == compile(text, root=HERE).digest
    assert mended(after, found) == after.text


def lint_each_fix(source: Source) -> list[str]:
    """The text with each of the safe fixes made alone."""
    return [mended(source, [finding]) for finding in LINT.findings(source) if finding.fix]


@pytest.mark.parametrize("rule", NAMES)
def test_a_rule_explains_itself(rule: Rule) -> None:
    text = rule.__doc__ or ""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    assert parts[1::2] == ["What it does", "Why", "Example", "Use instead"]
    assert all(part.strip() for part in parts)
    example, instead = (re.findall(r"^```erase\n(.*?)^```$", part, re.M | re.S) for part in (parts[6], parts[8]))
    assert rule.CODE in {d.code for d in lint(example[0])}
    assert all(rule.CODE not in {d.code for d in lint(block)} for block in instead)
    assert CODES[rule.CODE] == rule.TITLE


def test_every_rule_has_a_code_and_cases_of_its_own() -> None:
    assert len({rule.CODE for rule in RULES}) == len(RULES)
    between_versions = {code for code in CODES if "TL410" <= code <= "TL429"} | {"TL434"}
    assert {code for code in CODES if "TL4" <= code < "TL6"} - between_versions == {rule.CODE for rule in RULES}
    assert {path.stem for path in HERE.glob("*.txt")} == {rule.__name__.rpartition(".")[2] for rule in RULES}


def test_what_depends_on_the_day_or_is_a_note_is_for_lint_alone() -> None:
    text = 'recipe "x" { review_by = "2020-01-01" } erase "cat" preserve "cats"'
    assert [d.code for d in compile_with_findings(text)[1]] == ["TL401"]
    assert {d.code for d in lint(text)} == {"TL401", "TL406", "TL407", "TL506"}


def test_compile_honours_allowances() -> None:
    assert compile_with_findings('erase "cat" preserve "cats" # tracec: allow TL401 measured')[1] == []


def test_errors_cannot_be_allowed() -> None:
    with pytest.raises(CompileError):
        compile('erase "cat" preserve "cat" # tracec: allow TL301 because')
    assert [d.code for d in lint('erase "cat" preserve "cat" # tracec: allow TL301 because')] == ["TL301"]


def test_texts_of_a_list_share_a_finding() -> None:
    found = [d for d in lint('erase "horse"\npreserve list "lists/animals.txt"') if d.code == "TL401"]
    assert len(found) == 1 and '"wild horses" (and 1 more)' in found[0].message


def test_a_fix_that_is_not_safe_is_not_made() -> None:
    text = 'tracelang 1 concept cat { names "cat" probes "feline" } erase "cat"'
    assert [d.fix.safe for d in lint(text) if d.fix] == [False]
    assert LINT.mended(Source("<recipe>", text))[0].text == text


def test_definitions_alone_are_a_library() -> None:
    assert lint('tracelang 1 concept cat { names "cat" }') == []
    assert [d.code for d in lint("")] == ["TL308"]


def test_unused_imports_are_found_in_the_tree_alone() -> None:
    """Other definitions of the file are looked up in a scope; imports need none."""
    text = 'import "a.erase" as a import "b.erase" as b from "c.erase" import c, d erase a.x preserve d'
    file = parse(Source("<recipe>", text), Findings())
    other = parse(Source("<recipe>", 'erase "x"'), Findings())
    assert file and other
    resolution = resolve(other, Findings(), folder=HERE, root=HERE)
    assert resolution
    subject = Subject(replace(resolution, file=file))
    found = [d.message for d in unused_definition.check(subject)]
    assert found == ["the import `b` is not used", "the imported `c` is not used"]


IDLE = [
    ("TL407", "TL407 is a note and needs no allowance", 'notes-as-warnings = ["TL407"]'),
    ("TL407, TL506", "TL407, TL506 are notes and need no allowance", "notes-as-warnings"),
    ("TL402 TL407", "nothing on line 1 gives the warning TL402, TL407", "errors and notes"),
    ("TL301", "nothing on line 1 gives the warning TL301", "errors and notes"),
    ("TL417 TL999", "there is no code TL999", "tracec rule --all"),
    ("TL505", "no allowance silences TL505: it is about allowances", "mend"),
]


@pytest.mark.parametrize(("codes", "message", "help"), IDLE)
def test_an_idle_allowance_says_what_is_the_case(codes: str, message: str, help: str) -> None:
    text = f'erase "cat"  # tracec: allow {codes} why\npreserve "dog"'
    (found,) = (one for one in lint(text) if one.code == "TL504")
    assert found.message == message and help in found.help


def test_an_allowance_of_a_note_that_is_a_warning_here_may_still_be_on_the_wrong_line() -> None:
    text = 'erase "cat"\npreserve "dog"  # tracec: allow TL407 why'
    found = replace(LINT, raised=("TL4",)).findings(Source("<recipe>", text))
    (one,) = (one for one in found if one.code == "TL504")
    assert one.message == "nothing on line 2 gives the warning TL407"
