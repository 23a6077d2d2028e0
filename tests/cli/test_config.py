"""`tracelang.toml` and `[tool.tracelang]`, as the commands take them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang import CompileError, compile
from tracelang.cli import main
from tracelang.semantics.config import config_of

CLEAN = 'tracelang 1\nerase "cat"\npreserve "dog"\nexpect { shown("cat") <= 10% kept("dog") >= 50% }\n'
WARNED = 'tracelang 1\nerase "cat"\npreserve "cats"\n'
MINIMUM = 'tracelang 1\nerase "gore", "blood"\npreserve "person"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    Path(".git").mkdir()
    write({"r/clean.erase": CLEAN, "r/warned.erase": WARNED})
    return tmp_path


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, "utf-8")


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def told(*arguments: str) -> list[str]:
    """File and code of all findings of a lint."""
    found = json.loads(run("lint", "--format", "json", *arguments).stdout)["diagnostics"]
    return [f"{one['primary']['path']} {one['code']}" for one in found]


def test_without_a_configuration_all_is_told(folder: Path) -> None:
    assert told(".") == ["r/warned.erase TL407", "r/warned.erase TL401"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('ignore = ["TL401"]', ["TL407"]),
        ('ignore = ["TL4"]', []),
        ('select = ["TL401"]', ["TL401"]),
        ('exclude = ["warned.erase"]', []),
        ('exclude = ["r"]', []),
        ('exclude = ["r/*.erase"]', []),
        ('exclude = ["**/w*.erase"]', []),
        ('exclude = ["*/x", "s"]', ["TL407", "TL401"]),
        ('per-file-ignores = { "r/w*" = ["TL401"] }', ["TL407"]),
        ('per-file-ignores = { "clean.erase" = ["TL401"] }', ["TL407", "TL401"]),
    ],
)
@pytest.mark.parametrize("name", ["tracelang.toml", "pyproject.toml"])
def test_keys_that_leave_out(folder: Path, name: str, text: str, left: list[str]) -> None:
    write({name: text if name == "tracelang.toml" else f"[project]\nname = 'x'\n[tool.tracelang]\n{text}\n"})
    assert told(".") == [f"r/warned.erase {code}" for code in left]
    assert told("r") == [f"r/warned.erase {code}" for code in left]


def test_the_command_line_beats_the_configuration(folder: Path) -> None:
    write({"tracelang.toml": 'ignore = ["TL401"]\nexclude = ["r"]\n'})
    assert told("r/warned.erase") == ["r/warned.erase TL407"]
    assert told("r/warned.erase", "--select", "TL401") == ["r/warned.erase TL401"]
    assert told("r/warned.erase", "--ignore", "tl407,TL401") == []
    assert run("lint", "r", "--ignore", "TL9").exit_code == 2


def test_no_configuration_hides_an_error(folder: Path) -> None:
    write({"tracelang.toml": 'ignore = ["TL"]\nselect = ["TL5"]\n', "r/warned.erase": "erase cat\n"})
    assert told("r", "--ignore", "TL201") == ["r/warned.erase TL201"]


def test_notes_as_warnings_fail_and_can_be_allowed(folder: Path) -> None:
    write({"r/noted.erase": 'tracelang 1\nerase "cat"\npreserve "dog"\n'})
    assert run("lint", "r/noted.erase").exit_code == 0
    write({"tracelang.toml": 'notes-as-warnings = ["TL407"]\n'})
    assert run("lint", "r/noted.erase").exit_code == 1
    write({"r/noted.erase": 'tracelang 1\nerase "cat"  # tracec: allow TL407 a draft\npreserve "dog"\n'})
    assert run("lint", "r/noted.erase").exit_code == 0


def test_the_root_is_the_configuration_s_for_every_command(folder: Path) -> None:
    write({"names.txt": "cat\n", "r/list.erase": 'tracelang 1\nerase list "../names.txt"\n'})
    assert compile("r/list.erase").erase
    write({"tracelang.toml": 'root = "r"\n'})
    for command in (["lint"], ["compile", "--check"], ["explain"]):
        assert "TL217" in run(*command, "r/list.erase").output
    with pytest.raises(CompileError, match="TL217"):
        compile("r/list.erase")
    assert run("compile", "--check", "r/list.erase", "--root", ".").exit_code == 0


def test_the_nearest_counts_and_none_above_the_git_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"tracelang.toml": 'ignore = ["TL4"]', "r/pyproject.toml": "[tool.other]\n# tracelang\n"})
    assert told("r") == []
    write({"r/pyproject.toml": "[tool.tracelang]\nignore = []\n"})
    assert told("r") == ["r/warned.erase TL407", "r/warned.erase TL401"]
    write({"inner/x.erase": WARNED})
    assert told("inner") == []
    Path("inner/.git").mkdir()
    assert told("inner") == ["inner/x.erase TL407", "inner/x.erase TL401"]


WRONG = {
    'exlude = ["r"]': ("TL141", "1:1", "did you mean `exclude`?"),
    'x = 1\nignore = ["TL4"]': ("TL141", "1:1", ""),
    'ignore = ["TL401", "TL999"]': ("TL142", "1:20", "TL"),
    'ignore = "TL401"': ("TL142", "1:1", 'write `ignore = ["TL401"]`'),
    "exclude = [1]": ("TL142", "1:1", ""),
    'root = "nowhere"': ("TL142", "1:8", ""),
    'root = ".."': ("TL142", "1:8", ""),
    "root = 1": ("TL142", "1:1", ""),
    'require = ["../x.erase"]': ("TL142", "1:12", ""),
    'require = ["none.erase"]': ("TL142", "1:12", ""),
    'per-file-ignores = ["x"]': ("TL142", "1:1", ""),
    'per-file-ignores = { "x" = ["TL9"] }': ("TL142", "1:29", ""),
    "root = \n": ("TL142", "1:8", "toml.io"),
    'root = "r': ("TL142", "1:10", "toml.io"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_in_a_configuration_has_its_place(folder: Path, text: str) -> None:
    code, place, help = WRONG[text]
    write({"tracelang.toml": text})
    result = run("lint", "r")
    assert result.exit_code == 2 and not result.stdout
    assert f"error[{code}]" in result.stderr and f"tracelang.toml:{place}\n" in result.stderr and help in result.stderr
    assert run("compile", "--check", "r/clean.erase").exit_code == 1


def test_a_place_in_pyproject_is_of_its_table(folder: Path) -> None:
    write({"pyproject.toml": '[tool.other]\nselect = "x"\n\n[tool.tracelang]\nselect = "x"\n'})
    assert "pyproject.toml:5:1" in run("lint", "r").stderr


@pytest.mark.parametrize("data", [b"\xff", b"#" + b"x" * (1 << 20)])
def test_a_file_that_is_no_text_or_too_large(folder: Path, data: bytes) -> None:
    Path("tracelang.toml").write_bytes(data)
    assert run("lint", "r").exit_code == 2


def test_git_ignored_files_are_left_out_of_folders_alone(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    write({".gitignore": "build\n*.gen.erase\n", "build/deep/x.erase": WARNED, "r/a.gen.erase": WARNED})
    assert {line.split()[0] for line in told(".")} == {"r/warned.erase"}
    assert {line.split()[0] for line in told("build", "r/a.gen.erase")} == {"build/deep/x.erase", "r/a.gen.erase"}
    subprocess.run(["git", "add", "-f", "r/a.gen.erase"], check=True)
    assert {line.split()[0] for line in told("r")} == {"r/a.gen.erase", "r/warned.erase"}


def required(**files: str) -> list[dict[str, str]]:
    write({"tracelang.toml": 'require = ["company/minimum.erase"]\n', "company/minimum.erase": MINIMUM})
    write({f"r/{name}.erase": text for name, text in files.items()})
    found = json.loads(run("lint", ".", "--format", "json").stdout)["diagnostics"]
    return [one for one in found if one["code"] == "TL429"]


def test_every_recipe_promises_what_is_required(folder: Path) -> None:
    including = 'tracelang 1\ninclude "../company/minimum.erase"\nerase "cat"\n'
    written = 'tracelang 1\nerase "gore"\nerase "blood"\npreserve "person", "dog"\n'
    less = 'tracelang 1\ninclude "../company/minimum.erase"\nerase "cat"  # tracec: allow TL429 no\nmethod { rank = 1 }'
    library = 'tracelang 1\ngroup pets = "cat", "dog"\n'
    found = required(clean=including, warned=written, library=library)
    assert found == []
    (one,) = required(warned=written.replace(', "dog"', "").replace('"person"', '"dog"'), less=less)
    assert one["primary"]["path"] == "r/warned.erase" and one["severity"] == "error"
    assert "person is no longer preserved" in one["note"] and '`include "../company/minimum.erase"`' in one["help"]


def test_no_recipe_and_no_folder_gets_out_of_what_is_required(folder: Path) -> None:
    loose = 'tracelang 1\nerase "cat"  # tracec: allow TL429 not here\n'
    write({"r/tracelang.toml": 'ignore = ["TL429"]\nper-file-ignores = { "*" = ["TL4"] }\n'})
    assert [one["primary"]["path"] for one in required(warned=loose)] == ["r/clean.erase", "r/warned.erase"]


def test_no_recipe_allows_a_finding_of_a_required_file(folder: Path) -> None:
    write({"company/minimum.erase": 'tracelang 1\nerase "cat"\npreserve "cats"\n'})
    write({"tracelang.toml": 'require = ["company/minimum.erase"]\n'})
    text = 'tracelang 1\n# tracec: allow TL401 not here\ninclude "../company/minimum.erase"  # tracec: allow TL401 no\n'
    write({"r/clean.erase": text})
    assert "company/minimum.erase TL401" in " ".join(told("r/clean.erase")).replace("r/../", "")


def test_a_required_file_that_does_not_compile_is_said(folder: Path) -> None:
    write({"tracelang.toml": 'require = ["m.erase"]\n', "m.erase": "erase cat\n"})
    assert told("r/clean.erase") == ["m.erase TL201"]


def test_a_path_outside_is_nobody_s_pattern(folder: Path) -> None:
    write({"tracelang.toml": 'exclude = ["*"]\n'})
    assert config_of("r").excludes("r/x.erase") and not config_of("r").excludes("../x.erase")
