"""The published schemas are those of what is written, and what is written keeps to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from tracelang.cli import main
from tracelang.cli.schemas import FOLDER, Diff, Lint, schemas
from tracelang.plan.compile import compile

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", schemas())
def test_what_is_published_is_current(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert json.loads(text) == schemas()[name], "run python -m tracelang.cli.schemas"
    assert {path.name for path in FOLDER.iterdir()} == set(schemas())


def printed(*words: str) -> str:
    return CliRunner().invoke(main, [*words, "--format", "json"]).stdout


def test_lint_prints_what_its_schema_says(tmp_path: Path) -> None:
    for name, text in {
        "fixable": 'erase   "a"\nerase cat\n',
        "allowed": 'erase "cat"\npreserve "cat food" # tracec: allow TL401 it is food\n',
        "secondary": 'erase "cat"\npreserve "cat"\n',
    }.items():
        (tmp_path / f"{name}.erase").write_text(text)
    text = printed("lint", str(tmp_path), "--show-allowed")
    found = Lint.model_validate_json(text).diagnostics
    assert {one.severity for one in found} == {"error", "note", "warning"} and any(one.secondary for one in found)
    data = json.loads(text)
    data["diagnostics"][0]["colour"] = "red"
    with pytest.raises(ValidationError, match="colour"):
        Lint.model_validate_json(json.dumps(data))


def test_diff_prints_what_its_schema_says(tmp_path: Path) -> None:
    one, other = tmp_path / "a.erase", tmp_path / "b.erase"
    one.write_text('erase "cat"\npreserve "dog"\n')
    other.write_text('erase "cat" degree 50%\nexpect { shown("cat") <= 5% }\n')
    found = Diff.model_validate_json(printed("diff", str(one), str(other)))
    assert not found.same and {change.sign for change in found.changes} == {"+", "-", "~"}
    assert Diff.model_validate_json(printed("diff", str(one), str(one))).same


def test_the_plan_s_schema_names_every_field_of_a_plan_file() -> None:
    plan = compile('erase "cat"\npreserve prior\ncontrol random\nexpect { shown("cat") <= 5% }\n')
    schema = schemas()["plan.schema.json"]
    assert set(json.loads(plan.to_json())) == set(schema["properties"])
    assert set(schema["required"]) <= set(json.loads(compile('erase "cat"').to_json()))


def test_every_json_has_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But those of lint and diff, whose schemas say what they are."""
    monkeypatch.chdir(tmp_path)
    Path("r.erase").write_text('erase "cat"\npreserve "dog"\nmethod uce\n')
    for words in (
        ["compile", "r.erase", "--json"],
        ["explain", "r.erase", "--json"],
        ["explain", "r.erase", "--prompts", "--json"],
        ["models", "--json"],
        ["doctor", "--json"],
        ["cache", "--json"],
        ["inspect", "micro-sd", "--json"],
        ["rule", "--all", "--format", "json"],
        ["plan", "r.erase", "--model", "micro-sd", "--config-only", "--json"],
    ):
        assert json.loads(CliRunner().invoke(main, words).stdout)["format_version"] >= 1, words


def test_completion_lines_of_the_page_give_scripts() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for shell in ("bash", "zsh", "fish"):
        assert f"_TRACEC_COMPLETE={shell}_source tracec" in page
    done = CliRunner().invoke(main, [], prog_name="tracec", env={"_TRACEC_COMPLETE": "zsh_source"})
    assert "compdef" in done.stdout
    words = {"_TRACEC_COMPLETE": "zsh_complete", "COMP_WORDS": "tracec doc", "COMP_CWORD": "1"}
    assert "doctor" in CliRunner().invoke(main, [], prog_name="tracec", env=words).stdout
