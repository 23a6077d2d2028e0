"""`tracec lint` as a user meets it."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import main

CLEAN = 'tracelang 1\nerase "cat"\npreserve "dog"\nexpect { shown("cat") <= 10% kept("dog") >= 50% }\n'
NOTED = 'erase "cat"\npreserve "dog"\n'
WARNED = 'tracelang 1\nerase "cat"\npreserve "cats"\n'
FIXABLE = '# old\nconcept cat { names "cat" }\nerase "cat"  # tracec: allow TL401 gone\npreserve "dog"\n'
FIXED = 'tracelang 1\n\n# old\nconcept cat { names "cat" }\nerase cat\npreserve "dog"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"clean": CLEAN, "noted": NOTED, "warned": WARNED, "fixable": FIXABLE, "wrong": "erase"}.items():
        (tmp_path / f"{name}.erase").write_text(text, "utf-8")
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["lint", *arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_clean_recipe_is_met_with_silence(folder: Path) -> None:
    result = run("clean.erase")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(("name", "code"), [("noted", 0), ("warned", 1), ("wrong", 1)])
def test_exit_codes(folder: Path, name: str, code: int) -> None:
    result = run(f"{name}.erase")
    assert result.exit_code == code and f"{name}.erase:" in result.stdout and not result.stderr


def test_concise(folder: Path) -> None:
    assert run("warned.erase", "--format", "concise").stdout.splitlines() == [
        "warned.erase:2:7: note[TL407]: nothing is expected of the outcome, so verifying it is inconclusive",
        'warned.erase:3:10: warning[TL401]: the preserved "cats" contains "cat", which is erased',
    ]


def test_folders_are_searched_without_hidden_ones_and_each_file_is_read_once(folder: Path) -> None:
    for place in ("sub", ".hidden"):
        (folder / place).mkdir()
        (folder / place / "x.erase").write_text(WARNED)
        (folder / place / "x.txt").write_text(WARNED)
    result = run("--format", "concise", ".", "./warned.erase", "sub")
    places = [line.split(":")[0] for line in result.stdout.splitlines() if "warning[TL401]" in line]
    assert places == ["warned.erase", "sub/x.erase"]


def test_standard_input(folder: Path) -> None:
    result = run("-", stdin=WARNED)
    assert result.exit_code == 1 and "<stdin>:3:10" in result.stdout
    assert run("-", "--diff", stdin=FIXABLE).stdout.startswith("--- a/<stdin>\n+++ b/<stdin>\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nowhere.erase"],
        ["clean.erase", "--today", "soon"],
        ["clean.erase", "--format", "xml"],
        ["clean.erase", "--fix", "--diff"],
        ["-", "--fix"],
    ],
)
def test_mistakes_in_the_command_line(folder: Path, arguments: list[str]) -> None:
    result = run(*arguments, stdin=FIXABLE)
    assert result.exit_code == 2 and result.stderr and not result.stdout


def test_fix_makes_the_safe_fixes_and_looks_again(folder: Path) -> None:
    path = folder / "fixable.erase"
    path.chmod(0o640)
    assert run("fixable.erase").exit_code == 1
    result = run("fixable.erase", "--fix", "--format", "concise")
    assert path.read_text("utf-8") == FIXED and result.exit_code == 0
    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == ["note[TL407]"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.suffix for p in folder.iterdir()) == [".erase"] * 5


def test_diff_shows_the_fixes_and_writes_nothing(folder: Path) -> None:
    result = run("fixable.erase", "--diff")
    assert result.exit_code == 1 and (folder / "fixable.erase").read_text("utf-8") == FIXABLE
    changed = [line for line in result.stdout.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["+tracelang 1", "+", '-erase "cat"  # tracec: allow TL401 gone', "+erase cat"]


def test_a_fix_keeps_line_ends_byte_order_mark_and_links(folder: Path) -> None:
    (folder / "link.erase").symlink_to("fixable.erase")
    data = b"\xef\xbb\xbf" + FIXABLE.replace("\n", "\r\n").encode()
    (folder / "fixable.erase").write_bytes(data)
    run("link.erase", "--fix")
    assert (folder / "link.erase").is_symlink()
    assert (folder / "fixable.erase").read_bytes() == b"\xef\xbb\xbf" + FIXED.replace("\n", "\r\n").encode()


def test_what_needs_no_fix_is_not_written(folder: Path) -> None:
    before = os.stat("warned.erase")
    run("warned.erase", "--fix")
    assert os.stat("warned.erase").st_ino == before.st_ino


def test_today(folder: Path) -> None:
    (folder / "r.erase").write_text('tracelang 1 recipe "r" { review_by = "2026-06-01" } erase "a" preserve "b"')
    assert run("r.erase", "--today", "2026-06-01").exit_code == 0
    late = run("r.erase", "--today", "2026-06-02")
    assert late.exit_code == 1 and "TL406" in late.stdout


def test_params_and_root(folder: Path) -> None:
    (folder / "list.txt").write_text("cats\n")
    (folder / "sub").mkdir()
    text = 'tracelang 1 param d = 100% in 0%..100% erase "cat" degree param.d preserve list "../list.txt"'
    (folder / "sub" / "r.erase").write_text(text)
    assert "TL217" in run("sub/r.erase").stdout
    assert "TL401" in run("sub/r.erase", "--root", ".").stdout
    assert run("sub/r.erase", "--root", ".", "--set", "d=0%").exit_code == 0


def test_a_file_that_cannot_be_read_is_a_finding(folder: Path) -> None:
    (folder / "bad.erase").write_bytes(b"erase \xff")
    result = run("bad.erase", "clean.erase", "--format", "concise")
    assert result.exit_code == 1 and "TL105" in result.stdout


def test_a_fault_of_ours_ends_with_its_own_exit_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracelang.semantics.rules import preserved_name

    def fault(subject: object) -> object:
        raise RuntimeError("a fault")

    monkeypatch.setattr(preserved_name, "check", fault)
    result = run("clean.erase")
    assert result.exit_code == 2 and "a fault" in result.stderr and "internal error" in result.stderr


def test_the_clean_path_is_light(folder: Path) -> None:
    heavy = (
        "'pydantic', 'rich', 'lark', 'torch', 'numpy', 'difflib', 'tempfile', 'csv', 'hashlib', 'dataclasses', "
        "'unicodedata', 'tracelang.semantics.irregular', 'tracelang.semantics.protected'"
    )
    code = (
        "import sys\nfrom tracelang.cli import main\n"
        "try:\n    main(['lint', sys.argv[1]])\nexcept SystemExit as end:\n    print(end.code)\n"
        f"print([name for name in ({heavy}) if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(folder / "clean.erase")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.stdout == "0\n[]\n", done


def test_collecting_goes_on_after_a_lint_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracelang.semantics.rules import preserved_name

    seen = []

    def fault(subject: object) -> object:
        seen.append(gc.isenabled())
        raise RuntimeError("a fault")

    monkeypatch.setattr(preserved_name, "check", fault)
    assert run("clean.erase").exit_code == 2
    assert seen == [False] and gc.isenabled()


def test_the_shipped_recipes_are_clean() -> None:
    recipes = Path(__file__).parents[2] / "recipes"
    assert run(str(recipes), "--today", "2026-11-23").exit_code == 0
