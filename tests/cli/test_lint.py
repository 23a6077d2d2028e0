"""`tracec lint` as a user meets it."""

from __future__ import annotations

import contextlib
import gc
import json
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
    for root in ("nowhere", "", "list.txt"):
        refused = run("sub/r.erase", "--root", root)
        assert refused.exit_code == 2 and "--root" in refused.stderr and not refused.stdout


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
        "'unicodedata', 'subprocess', 'tomllib', 'json', 'tracelang.semantics.irregular', "
        "'tracelang.semantics.protected'"
    )
    code = (
        "import sys\nfrom tracelang.cli import main\n"
        "try:\n    main(['lint', sys.argv[1]])\nexcept SystemExit as end:\n    print(end.code)\n"
        f"print([name for name in ({heavy}) if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(folder / "clean.erase")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.stdout == "0\n[]\n", done


def test_nothing_is_hashed_and_no_process_begun_for_a_recipe_of_several_files(folder: Path) -> None:
    (folder / "words.txt").write_text("statue\nbeach\n")
    (folder / "minimum.erase").write_text('tracelang 1\nerase "gun"\npreserve list "words.txt"\n')
    text = 'tracelang 1\nimport "std/anchors.erase" as a\ninclude "minimum.erase"\nerase "nude" toward a.clothed\n'
    expect = 'expect { shown("nude") <= 5% kept("statue") >= 90% }\n'
    (folder / "several.erase").write_text(text + expect)
    code = (
        "import sys\nfrom tracelang.cli import main\n"
        "try:\n    main(['lint', 'several.erase'])\nexcept SystemExit as end:\n    print(end.code)\n"
        "print([name for name in ('hashlib', 'subprocess', 'csv', 'tomllib', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
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


ALLOWED = 'tracelang 1\nerase "cat"\npreserve "cats"  # tracec: allow TL401 a brand\nexpect { kept("cats") >= 50% }\n'


def test_what_is_allowed_is_shown_with_its_reason_where_that_is_asked_for(folder: Path) -> None:
    (folder / "allowed.erase").write_text(ALLOWED)
    assert (run("allowed.erase").exit_code, run("allowed.erase").output) == (0, "")
    shown = run("allowed.erase", "--show-allowed")
    assert shown.exit_code == 0 and "warning[TL401]" in shown.output and "= allowed: a brand" in shown.output
    assert "(allowed: a brand)" in run("allowed.erase", "--show-allowed", "--format", "concise").output
    (one,) = json.loads(run("allowed.erase", "--show-allowed", "--format", "json").output)["diagnostics"]
    assert one["allowed"] == "a brand"
    assert run("allowed.erase", "--show-allowed", "--format", "github").output.startswith("::notice ")
    assert 'failures="0"' in run("allowed.erase", "--show-allowed", "--format", "junit").output


def test_sarif_always_tells_of_what_is_allowed(folder: Path) -> None:
    (folder / "allowed.erase").write_text(ALLOWED)
    result = run("allowed.erase", "warned.erase", "--format", "sarif")
    results = json.loads(result.stdout)["runs"][0]["results"]
    held = [one.get("suppressions") for one in results if one["ruleId"] == "TL401"]
    assert held == [[{"kind": "inSource", "justification": "a brand"}], None] and result.exit_code == 1


def test_places_in_sarif_and_github_are_from_the_top_of_the_repository(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".git").mkdir()
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    for place in ("../warned.erase", str(folder / "warned.erase")):
        results = json.loads(run(place, "--format", "sarif").stdout)["runs"][0]["results"]
        places = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results}
        assert places == {"warned.erase"}
        assert "file=warned.erase,line=3" in run(place, "--format", "github").stdout
    assert "file=" not in run("../clean.erase", "--set", "d=1", "--format", "github").stdout
    assert '"locations"' not in run("../clean.erase", "--set", "d=1", "--format", "sarif").stdout


def test_standard_input_with_a_name_is_read_as_if_it_lay_there(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "names.txt").write_text("cats\n")
    text = 'tracelang 1 erase "cat" preserve list "names.txt" expect { shown("cat") <= 10% }'
    assert "TL216" in run("-", stdin=text).stdout
    result = run("-", "--stdin-filename", "sub/new.erase", "--format", "concise", stdin=text)
    assert "sub/new.erase:1:34: warning[TL401]" in result.stdout
    assert run("clean.erase", "--stdin-filename", "x.erase").exit_code == 2


def test_statistics_count_by_code(folder: Path) -> None:
    (folder / "more.erase").write_text(WARNED)
    result = run("warned.erase", "more.erase", "noted.erase", "--statistics", "--ignore", "TL506,TL507")
    assert result.exit_code == 1
    rows = [line.split(maxsplit=3)[:3] for line in result.stdout.splitlines()]
    assert rows == [["3", "TL407", "note"], ["2", "TL401", "warning"]]
    assert run("warned.erase", "--statistics", "--format", "json").exit_code == 2


def test_colour_is_for_terminals_or_for_who_asks(folder: Path) -> None:
    assert "\x1b" not in run("warned.erase").stdout
    assert "\x1b[1;33m" in run("warned.erase", "--color", "always").stdout
    assert "\x1b" not in run("warned.erase", "--color", "always", "--format", "json").stdout


def test_a_terminal_gets_colour_and_a_line_that_sums_it_up(folder: Path) -> None:
    import pty

    def on_a_terminal(*arguments: str) -> str:
        code = "import sys; from tracelang.cli import main; main(['lint', *sys.argv[1:]])"
        ours, theirs = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        environment.pop("NO_COLOR", None)
        done = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=theirs, env=environment)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while data := os.read(ours, 4096):
                shown += data
        done.wait()
        os.close(ours)
        return shown.decode().replace("\r\n", "\n")

    shown = on_a_terminal("warned.erase", "fixable.erase", "clean.erase")
    assert "\x1b[1;33mwarning[TL401]" in shown and shown.endswith("\n3 files, 3 warnings, 4 notes, 3 fixable\n")
    assert "\x1b" not in on_a_terminal("warned.erase", "--color", "never")
    assert on_a_terminal("clean.erase") == "1 file, nothing found\n"
    assert on_a_terminal("fixable.erase", "--fix").endswith("1 file, 1 note, 1 file rewritten\n")


def test_a_folder_without_recipes_says_so(folder: Path) -> None:
    (folder / "empty").mkdir()
    os.mkfifo(folder / "empty" / "pipe.erase")
    result = run("empty")
    assert result.exit_code == 0 and result.stderr == "empty: there is no recipe in this folder\n"


def test_a_param_is_set_once(folder: Path) -> None:
    result = run("clean.erase", "--set", "d=1", "--set", "d=2")
    assert result.exit_code == 2 and "'d' is set twice" in result.stderr


def test_a_param_is_set_for_the_recipes_of_a_run_that_have_it(folder: Path) -> None:
    with_param = 'tracelang 1 param d = 100% in 50%..100% erase "cat" degree param.d preserve "cats"'
    (folder / "param.erase").write_text(with_param)
    result = run("param.erase", "clean.erase", "warned.erase", "--set", "d=60%", "--format", "concise")
    assert "TL208" not in result.stdout
    assert "param.erase:1:77: warning[TL401]" in result.stdout and "warned.erase:3:10: warning[TL401]" in result.stdout
    nowhere = run("clean.erase", "warned.erase", "--set", "d=60%", "--format", "concise").stdout
    assert nowhere.count("TL208") == 1 and "warned.erase:3:10: warning[TL401]" in nowhere
    assert "TL213" in run("param.erase", "clean.erase", "--set", "d=10%").stdout
    assert 'file="--set"' not in run("clean.erase", "--set", "d=60%", "--format", "junit").stdout


def test_the_shipped_recipes_are_clean() -> None:
    recipes = Path(__file__).parents[2] / "recipes"
    assert run(str(recipes), "--today", "2026-11-23").exit_code == 0
