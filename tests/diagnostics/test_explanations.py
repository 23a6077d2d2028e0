"""Every code is explained, and every example shows what it is an example of."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tracelang.cli import main
from tracelang.cli.rulebook import PAGE, page
from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.explanations import explanations
from tracelang.plan.compile import compile_with_findings
from tracelang.semantics.rulebook import SECTIONS, rules

ROOT = Path(__file__).parents[2] / "recipes"
EXAMPLES = {code: one.example for code, one in explanations().items() if one.example and code in CODES}
WITHOUT = {"TL105", "TL106", "TL108", "TL121", "TL122", "TL123", "TL131", "TL132", "TL133", "TL224", "TL225", "TL310"}
WITHOUT |= {"TL226", "TL228", "TL229", "TL230"}  # a list or a suite shows these
WITHOUT |= {*(f"TL4{i}" for i in range(10, 30)), "TL434"}  # two versions of a recipe show these
WITHOUT |= {"TL141", "TL142"}  # a configuration shows these
WITHOUT |= {f"TL60{i}" for i in range(1, 10)}  # a model, or what is installed, shows these


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_yields_its_code(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {finding.code for finding in compile_with_findings(EXAMPLES[code], root=ROOT)[1]} == {code}


def test_every_code_is_explained() -> None:
    known = rules()
    assert list(known) == list(CODES)
    assert {code for code, rule in known.items() if "Example" not in rule.sections} == WITHOUT & set(CODES)
    for rule in known.values():
        assert set(rule.sections) - {"Example"} == set(SECTIONS) - {"Example"}, rule.code


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m tracelang.cli.rulebook"


def test_the_command_explains_a_code() -> None:
    shown = CliRunner().invoke(main, ["rule", "tl221"])
    assert shown.exit_code == 0
    assert shown.output.startswith("TL221: a comma after `except` (error)\n\nWhat it does:\n")
    assert '    group pets = ("cat", "dog", "fish") except "cat", "dog"\n' in shown.output
    assert "```" not in shown.output


def test_the_command_lists_all_and_refuses_others() -> None:
    assert [line.split()[0] for line in CliRunner().invoke(main, ["rule"]).output.splitlines()] == list(CODES)
    refused = CliRunner().invoke(main, ["rule", "TL2O1"])
    assert refused.exit_code == 2 and "did you mean TL" in refused.output
