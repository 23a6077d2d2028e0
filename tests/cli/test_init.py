"""`tracec init`: a first recipe that is fit to use as it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.semantics.tables import KINDS
from tracelang.syntax.text import normal

CONCEPTS = [
    "cat",
    "Claude Monet",
    'with "quotes" and \\',
    "日本の城",
    "100 % {}",
    "# tracec: allow",
    "near",
    "dog person",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("concept", CONCEPTS)
def test_every_first_recipe_compiles_without_a_finding(kind: str, concept: str) -> None:
    result = run("init", "-", "--kind", kind, "--concept", concept)
    assert result.exit_code == 0, result.stderr
    plan, findings = compile_with_findings(result.stdout, shown="-")
    assert plan is not None and not findings
    (erased,) = plan.erase
    assert plan.concept(erased.targets[0]).names == (normal(concept),) and plan.concept(erased.targets[0]).kind == kind
    assert plan.preserve and plan.expect


def test_the_recipe_says_what_to_adapt() -> None:
    run("init", "mine.erase", "--concept", "fox", "--toward", "dog")
    text = Path("mine.erase").read_text("utf-8")
    assert text.endswith("}\n") and text.count("#") >= 8 and 'erase fox toward "dog"' in text
    plan, _ = compile_with_findings(Path("mine.erase"))
    assert plan is not None and '"dog"' not in [one for group in plan.preserve for one in group.concepts]


def test_a_file_that_exists_is_kept() -> None:
    assert run("init").exit_code == 0
    Path("recipe.erase").write_text("mine", "utf-8")
    result = run("init")
    assert result.exit_code == 1 and "--force" in result.stderr
    assert Path("recipe.erase").read_text("utf-8") == "mine"
    assert run("init", "--force").exit_code == 0
    assert Path("recipe.erase").read_text("utf-8").startswith("# Removes")
    assert os.listdir() == ["recipe.erase"]


def test_a_link_is_written_through_and_stays(folder: Path) -> None:
    (folder / "other").write_text("mine", "utf-8")
    Path("recipe.erase").symlink_to(folder / "other")
    assert run("init").exit_code == 1
    assert (folder / "other").read_text("utf-8") == "mine"
    assert run("init", "--force").exit_code == 0
    assert (folder / "other").read_text("utf-8").startswith("# Removes") and Path("recipe.erase").is_symlink()


def test_the_mode_is_that_of_any_new_file() -> None:
    old = os.umask(0o027)
    try:
        run("init")
    finally:
        os.umask(old)
    assert Path("recipe.erase").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concept", "cat", "--toward", "a cat"], "contains its target"),
        (["--concept", " "], "1 to 500 characters"),
        (["--kind", "thing"], "thing"),
        (["nowhere/recipe.erase"], "cannot write"),
        (["."], "is a folder"),
    ],
)
def test_what_makes_no_recipe_writes_nothing(arguments: list[str], message: str) -> None:
    result = run("init", *arguments)
    assert result.exit_code in (1, 2) and message in result.stderr and os.listdir() == []


def test_an_interrupted_write_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    result = run("init")
    assert result.exit_code == 1 and "no space left" in result.stderr and os.listdir() == []


@pytest.mark.parametrize("kind", KINDS)
def test_lint_has_nothing_to_say(kind: str) -> None:
    run("init", "--kind", kind)
    result = run("lint", "recipe.erase")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_formatted(kind: str) -> None:
    run("init", "--kind", kind, "--toward", "something else")
    result = run("fmt", "--check", "recipe.erase")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("place", ["{here}/deep/x.erase", "../x.erase", "deep/../x.erase"])
def test_a_place_outside_of_the_folder_is_a_place_like_any_other(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written there is compiled before, as a text that is called by its place."""
    (tmp_path / "work" / "deep").mkdir(parents=True)
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    prompts = Path("prompts.yaml")
    prompts.write_text('- target: "cat"\n  action: "erase"\n', "utf-8")
    for words in (["init"], ["import", "leco", "prompts.yaml", "-o"]):
        file = Path(place.format(here=tmp_path))
        result = CliRunner().invoke(main, [*words, str(file)])
        assert result.exit_code == 0 and result.exception is None, result.output
        assert compile(file.resolve()).sources[0].path == "x.erase"
        file.unlink()
