"""From nothing, or from another tool's file, to a plan that one can read: the steps of docs/adoption.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.plan.load import load_plan

ROOT = Path(__file__).parents[2]
IMPORTED = {
    "leco": "leco/config.yaml",
    "spm": "spm/config.yaml",
    "mace": "mace/people.yaml",
    "uce": "uce/erase.sh",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 0, result.output
    return result


def checks(recipe: str, *commands: str) -> None:
    for command in commands:
        run(*command.split(), recipe)


def same_after_explaining(recipe: str) -> None:
    """Compile, spell every default out, compile that: the same digest."""
    run("compile", recipe, "-o", "one.json")
    Path("explained.erase").write_text(run("explain", recipe).stdout, "utf-8")
    run("compile", "explained.erase", "-o", "two.json")
    assert load_plan("one.json").digest == load_plan("two.json").digest


def test_from_nothing() -> None:
    run("init", "mine.erase", "--concept", "Claude Monet", "--kind", "style", "--toward", "a painting")
    checks("mine.erase", "lint", "fmt --check")
    same_after_explaining("mine.erase")
    (erased,) = load_plan("one.json").erase
    assert erased.anchor == ("a painting",)


@pytest.mark.parametrize("tool", IMPORTED)
def test_from_another_tool(tool: str) -> None:
    run("import", tool, str(ROOT / "tests" / "importers" / IMPORTED[tool]), "-o", "mine.erase")
    same_after_explaining("mine.erase")
    before = load_plan("one.json").digest
    run("fmt", "mine.erase")
    run("compile", "mine.erase", "-o", "one.json")
    assert load_plan("one.json").digest == before and "tracec import" in Path("mine.erase").read_text("utf-8")
