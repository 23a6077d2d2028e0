"""What a model refuses of a recipe is a finding of `plan`: with code and place, in every format."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.diagnostics.formats import FORMATS

REFUSED = {
    "family": ('recipe "r" { supports = flux }\nerase "cat" preserve "dog"\n', "micro-sd", "TL604", (1, 8)),
    "window": (
        'erase "cat" preserve "dog"\nmethod trace { steer.steps = 800\n  steer.push.during = t 0..800 }\n',
        "micro-flux",
        "TL605",
        (3, 23),
    ),
    "layers": ('erase "cat" preserve "dog"\nmethod uce { refine.on = "nosuch.*" }\n', "micro-sd", "TL606", (2, 26)),
    "method": ('erase "cat" preserve "dog"\nmethod uce { refine.on = text }\n', "micro-flux", "TL607", (2, 26)),
    "model": ('erase "cat" preserve "dog"\nmethod uce\n', "nowhere", "TL608", None),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def plan(text: str, model: str, *words: str, code: int = 1) -> Result:
    Path("r.erase").write_text(text)
    result = CliRunner().invoke(main, ["plan", "r.erase", "--model", model, "--config-only", *words])
    assert result.exit_code == code, result.output
    return result


def errors(result: Result) -> list[dict]:
    data = json.loads(result.stdout)
    assert data["format_version"] == 1 and data["ok"] is False and result.stderr == ""
    return [one for one in data["findings"] if one["severity"] == "error"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_a_finding_at_its_setting(name: str) -> None:
    text, model, code, place = REFUSED[name]
    (found,) = errors(plan(text, model, "--json"))
    assert found["code"] == code
    assert place is None or (found["primary"]["line"], found["primary"]["column"]) == place, found["primary"]
    if name in ("window", "layers"):
        setting = {"window": "steer.push.during", "layers": "refine.on"}[name]
        assert found["message"].startswith(f"{setting}: ")


@pytest.mark.parametrize("name", ["family", "window", "layers", "method"])
def test_for_people_it_is_shown_where_it_stands(name: str) -> None:
    text, model, code, at = REFUSED[name]
    assert at is not None
    line, column = at
    result = plan(text, model)
    assert f"error[{code}]" in result.stderr and f"r.erase:{line}:{column}" in result.stderr and not result.stdout


def test_a_model_that_cannot_be_used_is_one_line_for_people() -> None:
    assert plan(*REFUSED["model"][:2]).stderr.splitlines()[-1].startswith("error: nowhere: no such model")


@pytest.mark.parametrize("style", [style for style in FORMATS if style != "human"])
def test_every_format_tells_what_the_recipe_and_the_model_say(style: str) -> None:
    """The warning of the recipe, that nothing is preserved, and the refusal of the model."""
    text = 'erase "cat"\nmethod uce { refine.on = "nosuch.*" }\n'
    out = plan(text, "micro-sd", "--format", style).stdout
    assert "TL606" in out and "TL403" in out and "r.erase" in out
    if style == "sarif":
        (run,) = json.loads(out)["runs"]
        (one,) = (one for one in run["results"] if one["ruleId"] == "TL606")
        assert one["locations"][0]["physicalLocation"]["region"]["startLine"] == 2
    if style == "junit":
        xml.fromstring(out)


@pytest.mark.parametrize("style", [style for style in FORMATS if style != "human"])
def test_a_recipe_with_errors_is_told_in_every_format(style: str) -> None:
    assert "TL201" in plan("erase cat\n", "micro-sd", "--format", style).stdout


def test_a_plan_without_findings_says_so_in_data_and_nothing_else() -> None:
    good = 'tracelang 1\nerase "cat"\npreserve "dog"\nmethod uce\nexpect { shown("cat") <= 10% kept("dog") >= 50% }\n'
    data = json.loads(plan(good, "micro-sd", "--json", code=0).stdout)
    assert data["ok"] is True and data["findings"] == [] and data["tensors"]
    assert plan(good, "micro-sd", "--format", "github", code=0).stdout == ""


def test_a_plan_file_and_standard_input_have_no_place_and_still_a_finding() -> None:
    text, model, code, _ = REFUSED["window"]
    Path("r.erase").write_text(text)
    runner = CliRunner()
    assert runner.invoke(main, ["compile", "r.erase"]).exit_code == 0
    for words, given in ((["r.plan.json"], None), (["-"], text)):
        result = runner.invoke(main, ["plan", *words, "--model", model, "--config-only", "--json"], input=given)
        assert result.exit_code == 1 and errors(result)[0]["code"] == code


def test_what_is_wrong_is_no_change_by_its_exit_code() -> None:
    text, model, _, _ = REFUSED["window"]
    plan(text, model, "--detailed-exitcode", "--format", "sarif", code=1)


UNSEEN = """erase "cat" preserve "dog"
method uce
expect over 200 samples {
  kept("harbour") >= 50%
  shown("cat") <= 5%
}
"""


def test_an_expectation_that_no_installed_judge_can_decide_is_a_warning_where_it_stands() -> None:
    Path("r.erase").write_text(UNSEEN)
    result = CliRunner().invoke(main, ["plan", "r.erase", "--model", "micro-sd", "--format", "concise"])
    (line,) = [line for line in result.stdout.splitlines() if "TL609" in line]
    assert result.exit_code == 0 and line.startswith(
        "r.erase:4:3: warning[TL609]: kept(harbour) >= 50%: no chosen judge"
    )


def test_without_weights_and_where_all_can_be_decided_there_is_none() -> None:
    assert "TL609" not in plan(UNSEEN, "micro-sd", "--format", "concise", code=0).output
    Path("r.erase").write_text(UNSEEN.replace("harbour", "unicorn"))
    result = CliRunner().invoke(main, ["plan", "r.erase", "--model", "micro-sd", "--format", "concise"])
    assert result.exit_code == 0 and "TL609" not in result.output
