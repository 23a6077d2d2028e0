"""What a model's tokenizers cut off or do not know is said by `plan`, with the place in the recipe."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests import random_flux, random_sd
from tracelang.cli import main
from tracelang.plan.compile import compile

LONG = "a mouse photo of a mouse photo of a mouse photo of a mouse photo of a mouse photo of a"


@pytest.fixture(scope="module", params=["sd", "flux"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def base(kind, tmp_path_factory):
    build = {"sd": random_sd.build, "flux": random_flux.build}[kind]
    return build(tmp_path_factory.mktemp("models") / kind)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path_factory.getbasetemp() / "states"))


def plan(base: Path, text: str, *words: str, recipe: str = "r.erase") -> tuple[int, list[dict], str]:
    if recipe == "r.erase":
        Path(recipe).write_text(text)
    result = CliRunner().invoke(main, ["plan", recipe, "--model", str(base), "--device", "cpu", "--json", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, _met(json.loads(result.stdout)), result.stderr


def _met(facts: dict) -> list[dict]:
    """What the model says of the recipe."""
    return [one for one in facts.get("findings", []) if one["code"].startswith("TL6")]


def test_a_plan_that_is_read_whole_has_no_findings(base):
    text = 'templates object = "a photo of a {}"\nerase "cat" toward "ship"\npreserve "dog"\nmethod uce\n'
    assert plan(base, text)[:2] == (0, [])


def test_a_name_that_is_cut_off_whole_is_an_error_where_it_stands(kind, base):
    text = f'templates object = "a {{}}", "{LONG} {{}}"\nerase "cat" toward "ship"\npreserve "dog"\nmethod uce\n'
    code, found, said = plan(base, text)
    assert code == 1 and {one["code"] for one in found} == {"TL601", "TL602"}
    errors = [one for one in found if one["severity"] == "error"]
    assert [one["primary"]["line"] for one in errors] == [2] * len(errors)
    assert {one["primary"]["column"] for one in errors} == {7, 20}  # the erased name and its anchor
    assert all("1 of 2 prompts" in one["message"] and "cut off" in one["message"] for one in errors)
    shown = CliRunner().invoke(main, ["plan", "r.erase", "--model", str(base), "--device", "cpu"])
    assert "error[TL601]" in shown.stderr and "r.erase:2:7" in shown.stderr and not said


def test_a_partial_cut_is_a_warning_that_counts_and_names_what_is_lost(base):
    text = f'concept c {{ names "cat" templates "{{}}", "{{}} {LONG}" }}\nerase c toward "ship"\nmethod uce\n'
    code, found, _ = plan(base, text)
    assert code == 0 and {one["code"] for one in found} == {"TL602"}
    assert all("1 of 2 prompts" in one["message"] and "the name itself is whole" in one["message"] for one in found)
    text = f'erase "ship" toward "cat"\npreserve "dog {LONG}"\nmethod uce\n'
    code, found, _ = plan(base, text)
    assert code == 0 and {one["code"] for one in found} == {"TL602"}
    assert all("of the name" in one["message"] for one in found)


@pytest.mark.parametrize("kind", ["flux"], indirect=True)
def test_words_that_a_tokenizer_does_not_know_are_named(kind, base):
    text = 'templates object = "a {}"\nerase "水墨画" toward "ship"\npreserve "日本", "dog 日本"\nmethod uce\n'
    code, found, _ = plan(base, text)
    told = {(one["code"], one["severity"], one["primary"]["line"]) for one in found if "`tokens`" in one["message"]}
    assert code == 1 and told == {("TL601", "error", 2), ("TL603", "warning", 3)}
    assert any("'日本' in `dog 日本`" in one["message"] for one in found)


def test_inputs_that_no_edited_matrix_reads_and_plans_without_changes_are_left_alone(base):
    text = f'templates object = "{LONG} {{}}"\nerase "cat" toward "ship"{{}}\nmethod uce\n'
    assert plan(base, text.replace("{}\nmethod", " degree 0%\nmethod"))[:2] == (0, [])
    assert plan(base, text.replace("{}\nmethod", "\nmethod"), "--config-only")[:2] == (0, [])


def test_a_compiled_plan_says_where_in_its_file(base):
    Path("r.erase").write_text('erase "ship" toward "cat"\npreserve "dog ' + LONG + '"\nmethod uce\n')
    Path("p.plan.json").write_text(compile("r.erase").to_json())
    code, found, said = plan(base, "", recipe="p.plan.json")
    assert code == 0 and found, said
    line = Path("p.plan.json").read_text().splitlines()[found[0]["primary"]["line"] - 1]
    assert found[0]["primary"]["path"] == "p.plan.json" and LONG in line


def test_a_recipe_from_a_pipe_has_its_findings_too(base):
    text = 'erase "ship" toward "cat"\npreserve "dog ' + LONG + '"\nmethod uce\n'
    words = ["plan", "-", "--model", str(base), "--device", "cpu", "--json", "--root", os.getcwd()]
    result = CliRunner().invoke(main, words, input=text)
    assert result.exit_code == 0 and json.loads(result.stdout)["findings"][0]["code"] == "TL602"


def test_apply_says_what_plan_says_and_ends_where_nothing_would_be_read(base):
    text = f'templates object = "a {{}}", "{LONG} {{}}"\nerase "cat" toward "ship"\npreserve "dog"\nmethod uce\n'
    Path("r.erase").write_text(text)
    words = ["--model", str(base), "--device", "cpu"]
    refused = CliRunner().invoke(main, ["apply", "r.erase", *words, "--out", "out"])
    assert refused.exit_code == 1 and "error[TL601]" in refused.stderr and "r.erase:2:7" in refused.stderr
    assert not Path("out").exists()
    Path("r.erase").write_text(f'erase "ship" toward "cat"\npreserve "dog {LONG}"\nmethod uce\n')
    said = [
        CliRunner().invoke(main, [*one, *words]) for one in (["plan", "r.erase"], ["apply", "r.erase", "--out", "o"])
    ]
    assert [one.exit_code for one in said] == [0, 0] and "warning[TL602]" in said[1].stderr
    assert [line for line in said[1].stderr.splitlines() if "TL602" in line] == [
        line for line in said[0].stderr.splitlines() if "TL602" in line
    ]
