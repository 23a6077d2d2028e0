"""`tracec breaking` over a folder, and over what is gone, moved or set from outside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracelang.cli import main

HATE = """tracelang 1

erase "hate symbol", "slur"
preserve "flag", "crowd"

expect {
  shown("hate symbol") <= 5%
}
"""
CATS = 'tracelang 1\n\nerase "cat", "lion"\npreserve "dog"\n'
PARTS = 'tracelang 1\n\ngroup pets = "cat", "dog"\n'


def git(*arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, "-c", "init.defaultBranch=main", *arguments], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    for name, text in {"hate": HATE, "deep/cats": CATS, "parts": PARTS, ".hidden/x": CATS}.items():
        path = Path(f"recipes/{name}.erase")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "x")


def run(*arguments: str) -> tuple[int, list[str]]:
    """The exit code, and of each finding place, code and message."""
    result = CliRunner().invoke(main, ["breaking", *arguments, "--format", "concise"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout.splitlines()


def weaken(path: str) -> None:
    Path(path).write_text(Path(path).read_text("utf-8").replace(', "lion"', "").replace(', "slur"', ""), "utf-8")


def test_a_folder_that_promises_no_less() -> None:
    assert run("recipes", "--against", "main") == (0, [])
    Path("recipes/new.erase").write_text(CATS)
    assert run(".", "--against", "HEAD") == (0, [])


def test_each_recipe_of_a_folder_is_compared() -> None:
    weaken("recipes/deep/cats.erase")
    code, found = run("recipes", "--against", "main")
    assert code == 1 and len(found) == 1 and found[0].startswith("recipes/deep/cats.erase:3:1: error[TL410]: lion")
    assert run("recipes/hate.erase", "recipes/deep", "--against", "main") == (1, found)


def test_a_recipe_that_is_gone_is_found() -> None:
    git("rm", "-q", "recipes/hate.erase", "recipes/parts.erase", "recipes/.hidden/x.erase")
    code, found = run("recipes", "--against", "main")
    assert code == 1 and found == ["recipes/hate.erase:1:1: error[TL427]: this recipe is gone: main has it"]
    assert run("recipes/hate.erase", "--against", "main") == (1, found)
    assert run("recipes/deep", "--against", "main") == (0, [])
    assert run("recipes/none.erase", "--against", "main")[0] == 2


def test_a_folder_that_is_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    git("rm", "-qr", "recipes/deep")
    assert run("recipes/deep", "--against", "main")[1][0].startswith("recipes/deep/cats.erase:1:1: error[TL427]")
    monkeypatch.chdir("recipes")
    assert run(".", "--against", "main")[1][0].startswith("deep/cats.erase:1:1: error[TL427]")


def test_a_recipe_that_was_moved_is_held_against_what_it_was() -> None:
    git("mv", "recipes/hate.erase", "recipes/deep/hate2.erase")
    for places in (["recipes"], ["recipes/deep", "recipes"], ["recipes/deep/hate2.erase"]):
        code, found = run(*places, "--against", "main")
        assert code == 0
        assert found == ["recipes/deep/hate2.erase:1:1: note[TL428]: this recipe was recipes/hate.erase in main"]
    weaken("recipes/deep/hate2.erase")
    code, found = run("recipes", "--against", "main")
    assert code == 1 and "error[TL410]: slur is no longer erased" in found[0] and "note[TL428]" in found[-1]


def test_a_recipe_that_was_moved_out_of_sight_is_gone() -> None:
    Path("attic").mkdir()
    git("mv", "recipes/hate.erase", "attic/hate.erase")
    code, found = run("recipes", "--against", "main")
    assert code == 1 and found[0].endswith("this recipe is gone: main has it; it was moved to attic/hate.erase")
    Path("tracelang.toml").write_text('exclude = ["attic"]\n')
    assert run(".", "--against", "main")[0] == 1
    Path("tracelang.toml").write_text('exclude = ["attic", "recipes/hate.erase"]\n')
    assert run(".", "--against", "main")[0] == 0


def test_a_folder_against_one_file_that_all_must_hold() -> None:
    Path("minimum.erase").write_text('erase "cat"\npreserve "dog"\n')
    code, found = run("recipes", "--against", "minimum.erase")
    assert code == 1 and {line.split(":")[0] for line in found} == {"recipes/hate.erase"}


def test_what_cannot_be_compared_ends_with_2() -> None:
    weaken("recipes/deep/cats.erase")
    Path("recipes/hate.erase").write_text("erase hate\n")
    code, found = run("recipes", "--against", "main")
    assert code == 2 and {line.split("[")[1][:5] for line in found} == {"TL201", "TL410"}


def test_json_names_each_recipe_and_its_two_digests() -> None:
    git("rm", "-q", "recipes/hate.erase")
    result = CliRunner().invoke(main, ["breaking", "recipes", "--against", "main", "--json"])
    outcome = json.loads(result.stdout)
    rows = {row["recipe"]: (bool(row["before"]), bool(row["after"])) for row in outcome["recipes"]}
    assert rows == {"recipes/deep/cats.erase": (True, True), "recipes/hate.erase": (True, False)}
    assert not outcome["ok"] and [one["code"] for one in outcome["diagnostics"]] == ["TL427"]


def test_a_param_that_only_the_newer_version_has() -> None:
    text = 'tracelang 1\n\nparam d = 90% in 50%..100%\nerase "cat", "lion" degree param.d\npreserve "dog"\n'
    Path("recipes/deep/cats.erase").write_text(text)
    code, found = run("recipes/deep/cats.erase", "--against", "main", "--set", "d=80%")
    assert code == 1 and "a lower degree: 80% instead of 100%" in found[0]
    assert run("recipes/deep/cats.erase", "--against", "main", "--set", "d=100%") == (0, [])
    code, found = run("recipes/deep/cats.erase", "--against", "main", "--set", "e=100%")
    assert code == 2 and "no param is called `e`" in found[0]
    done = CliRunner().invoke(main, ["diff", "main:recipes/deep/cats.erase", "--set", "d=80%"])
    assert done.exit_code == 1 and "80%" in done.output


def test_more_harmless_texts_are_a_note() -> None:
    text = 'concept slur { names "slur", "tea", "pie" }\nerase slur\npreserve "x"\nexpect { shown(slur) <= 5% }\n'
    Path("recipes/hate.erase").write_text(text)
    git("commit", "-qam", "y")
    wider = text.replace('"pie"', '"pie", "jam"')
    Path("recipes/hate.erase").write_text(wider)
    code, found = run("recipes", "--against", "HEAD")
    assert code == 0 and len(found) == 1 and "note[TL426]: `shown(slur) <= 5%` is measured over more texts" in found[0]
    Path("recipes/hate.erase").write_text(wider.replace("expect {", "expect over 400 samples {"))
    assert run("recipes", "--against", "HEAD") == (0, [])
