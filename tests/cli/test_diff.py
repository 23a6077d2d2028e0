"""`tracec diff` and `tracec breaking` as a user meets them, against a real repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.diagnostics.formats import FORMATS

FIRST = 'group g = list "lists/g.txt"\nerase g\npreserve "dog"\n'


def git(*arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`policy/r.erase` erases a list of two, committed and tagged `v1`; afterwards the list has one, and a degree."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    recipe, words = tmp_path / "policy" / "r.erase", tmp_path / "policy" / "lists" / "g.txt"
    words.parent.mkdir(parents=True)
    recipe.write_text(FIRST, "utf-8")
    words.write_text("cat\nlion\n", "utf-8")
    git("add", "."), git("commit", "-qm", "first"), git("tag", "v1")
    words.write_text("cat\n", "utf-8")
    recipe.write_text(FIRST.replace("erase g", "erase g degree 60%"), "utf-8")
    return tmp_path


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


CHANGES = "- concept lion\n~ erase cat: degree 100% -> 60%\n- erase lion degree 100%\n"


def test_a_revision_with_its_own_lists_against_the_working_file(repository: Path) -> None:
    result = run("diff", "v1:policy/r.erase")
    assert (result.exit_code, result.stdout) == (1, CHANGES)
    assert subprocess.run(["git", "diff", "--stat", "--cached"], capture_output=True, check=True).stdout == b""


def test_two_revisions(repository: Path) -> None:
    git("commit", "-qam", "second")
    assert run("diff", "v1:policy/r.erase", "HEAD:policy/r.erase").stdout == CHANGES
    assert run("diff", "HEAD:policy/r.erase").exit_code == 0


def test_a_path_from_here(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "policy")
    assert run("diff", "v1:./r.erase").stdout == CHANGES
    assert run("diff", "v1:policy/r.erase").stdout == CHANGES
    assert run("diff", "v1:policy/r.erase", "--root", ".").stdout == CHANGES


def test_files_plans_and_standard_input(repository: Path) -> None:
    run("compile", "policy/r.erase", "-o", "r.json")
    assert run("diff", "r.json", "policy/r.erase").exit_code == 0
    result = run("diff", "-", "r.json", stdin=b'erase "cat" degree 60% preserve "cow"')
    assert result.exit_code == 1 and "+ preserve dog weight 1\n" in result.stdout


def test_json(repository: Path) -> None:
    data = json.loads(run("diff", "v1:policy/r.erase", "--json").stdout)
    assert data == json.loads(run("diff", "v1:policy/r.erase", "--format", "json").stdout)
    assert not data["same"] and data["before"] != data["after"] and len(data["changes"]) == 3
    assert data["changes"][1] == {
        "sign": "~",
        "part": "erase",
        "subject": "cat",
        "field": "degree",
        "before": "100%",
        "after": "60%",
    }


def test_links_inside_a_revision(repository: Path) -> None:
    Path("policy/link.txt").symlink_to("lists/g.txt")
    Path("policy/s.erase").write_text('erase list "link.txt"', "utf-8")
    git("add", "."), git("commit", "-qm", "links")
    assert run("diff", "HEAD:policy/s.erase").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diff", "policy/r.erase"), "compared with nothing"),
        (("diff", "no.erase", "policy/r.erase"), "no file 'no.erase'"),
        (("diff", "v2:policy/r.erase"), "no revision `v2`"),
        (("diff", "v1:no.erase", "policy/r.erase"), "v1 has no file"),
        (("diff", "v1:policy/r.erase", "--root", "/"), "outside"),
        (("diff", "v1:../out.erase", "policy/r.erase"), "v1 has no file"),
        (("diff", "--", "--output=x:policy/r.erase", "policy/r.erase"), "is no revision"),
        (("diff", "bad.erase", "policy/r.erase"), "error[TL102]"),
        (("breaking", "policy/r.erase", "--against", "v2"), "no revision `v2`"),
        (("breaking", "bad.erase", "--against", "v1"), "error[TL102]"),
        (("breaking", "new.erase", "--against", "v1:new.erase"), "v1 has no file 'new.erase'"),
        (("breaking", "new.erase", "--against", "v2"), "no revision `v2`"),
        (("breaking", "-", "--against", "v1"), "REV:path"),
        (("breaking", "x.json", "--against", "v1"), "give the recipe"),
    ],
)
def test_trouble_is_told_from_a_difference(repository: Path, arguments: tuple[str, ...], words: str) -> None:
    Path("bad.erase").write_text("erase", "utf-8")
    Path("new.erase").write_text('erase "x"', "utf-8")
    result = run(*arguments)
    assert result.exit_code == 2 and words in result.stderr and "Traceback" not in result.stderr


def test_a_file_that_is_gone_from_the_working_tree(repository: Path) -> None:
    Path("policy/r.erase").unlink()
    result = run("diff", "v1:policy/r.erase")
    assert result.exit_code == 2 and "no file 'policy/r.erase' in the working tree" in result.stderr


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    result = run("diff", "v1:r.erase", "v1:r.erase")
    assert result.exit_code == 2 and "not a git repository" in result.stderr


def test_breaking_says_what_was_promised_and_what_is_now(repository: Path) -> None:
    result = run("breaking", "policy/r.erase", "--against", "v1")
    assert result.exit_code == 1
    assert result.stderr == (
        "error[TL411]: cat is erased to a lower degree: 60% instead of 100%\n"
        " --> policy/r.erase:2:7\n"
        "  |\n"
        "2 | erase g degree 60%\n"
        "  |       ^ now: 60%\n"
        " ::: v1:policy/r.erase:2:7\n"
        "  |\n"
        "2 | erase g\n"
        "  |       - promised: degree 100%\n"
        "  = help: write `degree 100%` or more\n"
        "\n"
        "error[TL410]: lion is no longer erased\n"
        " --> policy/r.erase:2:1\n"
        "  |\n"
        "2 | erase g degree 60%\n"
        "  | ^^^^^^^^^^^^^^^^^^ now: not erased\n"
        " ::: v1:policy/r.erase:2:7\n"
        "  |\n"
        "2 | erase g\n"
        "  |       - promised: erase lion degree 100%\n"
        '  = help: write `erase "lion"`\n'
    )


def test_a_recipe_that_is_new_in_the_revision_breaks_nothing(repository: Path) -> None:
    Path("new.erase").write_text('erase "x" preserve "y"', "utf-8")
    result = run("breaking", "new.erase", "--against", "v1", "--json")
    assert result.exit_code == 0 and "new.erase is new since v1: there is nothing to compare it with" in result.stderr
    data = json.loads(result.stdout)
    assert data["ok"] and data["before"] is None and len(data["after"]) == 64 and not data["diagnostics"]
    Path("new.erase").write_text("erase", "utf-8")
    assert run("breaking", "new.erase", "--against", "v1").exit_code == 2


def test_breaking_in_every_format(repository: Path) -> None:
    shown = {style: run("breaking", "policy/r.erase", "--against", "v1", "--format", style) for style in FORMATS}
    assert {result.exit_code for result in shown.values()} == {1}
    assert [style for style, result in shown.items() if result.stderr] == ["human"] and not shown["human"].stdout
    assert shown["concise"].stdout.splitlines()[0].startswith("policy/r.erase:2:7: error[TL411]: cat is erased")
    assert [one["code"] for one in json.loads(shown["json"].stdout)["diagnostics"]] == ["TL411", "TL410"]
    results = json.loads(shown["sarif"].stdout)["runs"][0]["results"]
    assert [one["ruleId"] for one in results] == ["TL411", "TL410"]
    assert shown["github"].stdout.startswith("::error title=error[TL411],file=policy/r.erase,line=2,")
    assert 'failures="2"' in shown["junit"].stdout


def test_what_does_not_compile_is_told_in_the_format_asked_for(repository: Path) -> None:
    Path("bad.erase").write_text("erase", "utf-8")
    result = run("breaking", "bad.erase", "--against", "v1", "--format", "sarif")
    assert result.exit_code == 2 and json.loads(result.stdout)["runs"][0]["results"][0]["ruleId"] == "TL102"
    result = run("breaking", "bad.erase", "--against", "v1", "--json")
    assert result.exit_code == 2 and not json.loads(result.stdout)["ok"]


def test_breaking_against_a_file_a_plan_or_another_path(repository: Path) -> None:
    Path("old.erase").write_text('erase "cat", "lion" preserve "dog"', "utf-8")
    run("compile", "old.erase")
    for against in ("old.erase", "old.plan.json", "v1:policy/r.erase"):
        data = json.loads(run("breaking", "policy/r.erase", "--against", against, "--json").stdout)
        assert not data["ok"] and [one["code"] for one in data["diagnostics"]] == ["TL411", "TL410"]
    git("commit", "-qam", "second")
    assert run("breaking", "policy/r.erase", "--against", "HEAD").exit_code == 0
    assert run("breaking", "-", "--against", "old.erase", stdin=b'erase "cat", "lion" preserve "dog"').exit_code == 0


def test_includes_and_imports_are_those_of_the_revision(repository: Path) -> None:
    Path("policy/all.erase").write_text('include "r.erase"\nfrom "std/things.erase" import photos', "utf-8")
    git("add", "."), git("commit", "-qm", "all")
    Path("policy/r.erase").write_text('erase "cat" preserve "dog"', "utf-8")
    assert run("diff", "HEAD:policy/all.erase").stdout == "~ erase cat: degree 60% -> 100%\n"
    git("commit", "-qam", "more")
    Path("policy/r.erase").write_text('erase "cat" degree 5% preserve "dog"', "utf-8")
    result = run("breaking", "policy/all.erase", "--against", "HEAD")
    assert result.exit_code == 1 and "error[TL411]" in result.stderr
    assert " ::: HEAD:policy/r.erase:1:7\n" in result.stderr
