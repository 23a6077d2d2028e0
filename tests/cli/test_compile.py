"""`tracec compile` and `tracec explain` as a user meets them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import COMMANDS, main
from tracelang.plan.load import load_plan

GOOD = 'param p = 100% in 0%..100%\nerase "cat" degree param.p\npreserve "dog"\n'


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.erase"
    path.write_text(GOOD, "utf-8")
    return path


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_plan_goes_beside_the_recipe(recipe: Path) -> None:
    result = run("compile", "r.erase")
    plan = load_plan("r.plan.json")
    assert result.exit_code == 0 and plan.digest in result.stdout and not result.stderr
    assert [path.name for path in sorted(Path().iterdir())] == ["r.erase", "r.plan.json"]


def test_output_where_one_says(recipe: Path) -> None:
    run("compile", "r.erase", "-o", "x.json", "--set", "p=60%")
    assert load_plan("x.json").erase[0].degree == 0.6
    piped = run("compile", "-", stdin=GOOD.encode()).stdout
    assert run("compile", "r.erase", "-o", "-").stdout == piped.replace('"<stdin>"', '"r.erase"')


def test_json_outcome(recipe: Path) -> None:
    data = json.loads(run("compile", "r.erase", "--json").stdout)
    assert data["ok"] and data["digest"] == load_plan("r.plan.json").digest
    recipe.write_text("erase cat")
    result = run("compile", "r.erase", "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 1 and data["diagnostics"][0]["primary"]["column"] == 7


def test_errors_are_shown_and_nothing_is_written(recipe: Path) -> None:
    recipe.write_text('erase "c\u00e4t"\ttoward cat degree 140%\n', "utf-8")
    result = run("compile", "r.erase")
    assert result.exit_code == 1 and not Path("r.plan.json").exists()
    assert result.stderr == (
        "error[TL201]: no concept or group is called `cat`\n"
        " --> r.erase:1:20\n"
        "  |\n"
        '1 | erase "c\u00e4t"    toward cat degree 140%\n'
        "  |                       ^^^\n"
        '  = help: quote a text: `"cat"`\n'
        "\n"
        "error[TL213]: `degree` lies between 0% and 100%\n"
        " --> r.erase:1:31\n"
        "  |\n"
        '1 | erase "c\u00e4t"    toward cat degree 140%\n'
        "  |                                  ^^^^\n"
    )


def test_a_folder_s_recipes_are_compiled_and_its_definitions_passed_over(recipe: Path) -> None:
    Path("parts").mkdir()
    Path("parts/b.erase").write_text('erase "b"\n', "utf-8")
    Path("parts/pets.erase").write_text('group pets = "cat", "dog"\n', "utf-8")
    assert run("compile", "parts").exit_code == 0 and Path("parts/b.plan.json").exists()
    assert run("compile", "parts/pets.erase").exit_code == 1
    Path("parts/c.erase").write_text("erase c\n", "utf-8")
    result = run("compile", "--check", "parts")
    assert result.exit_code == 1 and "parts/c.erase:1:7" in result.stderr
    Path("none").mkdir()
    result = run("compile", "none")
    assert result.exit_code == 0 and "none: there is no recipe in this folder" in result.stderr


def test_control_characters_are_escaped(recipe: Path) -> None:
    recipe.write_text('erase "\x1b[31mred" degree 3', "utf-8")
    assert "\x1b" not in run("compile", "r.erase").stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("compile", "none.erase"), 1),
        (("compile", ".", "-o", "x.json"), 2),
        (("compile", "r.erase", "-o", "no/such/folder/x"), 1),
        (("compile", "r.erase", "--set", "p"), 2),
        (("compile", "r.erase", "--set", "q=1"), 1),
        (("compile", "r.erase", "--json", "-o", "-"), 2),
        (("compile",), 2),
        (("compile", "r.erase", "--no-such-option"), 2),
        (("no-such-command",), 2),
        (("compile", "r.erase", "-o", "./r.erase"), 2),
        (("explain", "none.plan.json"), 1),
    ],
)
def test_mistakes_have_an_exit_code_and_no_traceback(recipe: Path, arguments: tuple[str, ...], code: int) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert result.stderr and "Traceback" not in result.stderr


def test_a_recipe_is_never_its_own_plan(recipe: Path) -> None:
    Path("link.json").symlink_to("r.erase")
    result = run("compile", "r.erase", "-o", "link.json")
    assert result.exit_code == 2 and "overwrite its own recipe" in result.stderr
    assert recipe.read_text("utf-8") == GOOD


def test_a_file_name_that_is_no_text(recipe: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.erase")
    recipe.rename(odd)
    result = run("compile", odd, "-o", "x.json")
    assert result.exit_code == 0 and not result.stderr
    assert load_plan("x.json").sources[0].path == "caf\\udce9.erase"


def test_broken_input_from_a_pipe(recipe: Path) -> None:
    assert "not UTF-8" in run("compile", "-", stdin=b'erase "\xff"').stderr


def test_explain_means_the_same(recipe: Path) -> None:
    text = run("explain", "r.erase", "--set", "p=60%").stdout
    Path("e.erase").write_text(text, "utf-8")
    run("compile", "e.erase")
    run("compile", "r.erase", "--set", "p=60%")
    assert load_plan("e.plan.json").digest == load_plan("r.plan.json").digest
    assert run("explain", "r.plan.json").stdout == text


def test_several_recipes(recipe: Path) -> None:
    Path("b.erase").write_text("erase cat\n", "utf-8")
    Path("c.erase").write_text('erase "cow"\n', "utf-8")
    result = run("compile", "r.erase", "b.erase", "c.erase")
    assert result.exit_code == 1 and "b.erase:1:7" in result.stderr
    assert sorted(path.name for path in Path().glob("*.json")) == ["c.plan.json", "r.plan.json"]
    assert run("compile", "r.erase", "c.erase", "-o", "x.json").exit_code == 2


def test_check_writes_nothing(recipe: Path) -> None:
    result = run("compile", "--check", "r.erase")
    assert result.exit_code == 0 and "r.erase: 1 erased" in result.stdout and "sha256" in result.stdout
    recipe.write_text("erase cat")
    assert run("compile", "--check", "r.erase").exit_code == 1
    assert [path.name for path in Path().iterdir()] == ["r.erase"]
    assert run("compile", "--check", "r.erase", "-o", "x").exit_code == 2


def test_help_names_every_command_that_is_there() -> None:
    text = run("--help").stdout
    assert all(word in text for word in ("compile", "explain", COMMANDS["compile"]))


def test_a_plan_takes_no_params(recipe: Path) -> None:
    run("compile", "r.erase")
    result = run("explain", "r.plan.json", "--set", "p=60%")
    assert result.exit_code == 2 and "explain its recipe instead" in result.stderr
    assert "degree 60%" in run("explain", "r.erase", "--set", "p=60%").stdout
