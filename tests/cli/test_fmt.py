"""`tracec fmt` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.syntax import format as formatter

ROUGH = 'erase   "cat"  # the tabby\npreserve "dog" ,"cow"\n'
NEAT = 'erase "cat"  # the tabby\npreserve "dog", "cow"\n'


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, ("fmt", *arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub" / ".hidden").mkdir(parents=True)
    for name in ("a.erase", "sub/b.erase", "sub/.hidden/c.erase", "sub/d.txt"):
        (tmp_path / name).write_text(ROUGH)
    (tmp_path / "neat.erase").write_text(NEAT)
    return tmp_path


def test_files_and_folders(folder: Path) -> None:
    result = run("a.erase", "sub", "neat.erase")
    assert (result.exit_code, result.stdout.splitlines()) == (0, ["a.erase", str(Path("sub/b.erase"))])
    texts = {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert texts == {"a.erase": NEAT, "b.erase": NEAT, "neat.erase": NEAT, "c.erase": ROUGH, "d.txt": ROUGH}
    assert run(".").stdout == ""


def test_check_and_diff_write_nothing(folder: Path) -> None:
    result = run("--check", "a.erase", "neat.erase")
    assert result.exit_code == 1 and "a.erase would change" in result.stdout and "neat" not in result.stdout
    assert run("--check", "neat.erase").exit_code == 0
    shown = run("--diff", "a.erase")
    assert shown.exit_code == 0 and '-erase   "cat"' in shown.stdout and '+erase "cat"' in shown.stdout
    assert (folder / "a.erase").read_text() == ROUGH


def test_standard_input_to_standard_output(folder: Path) -> None:
    assert run("-", stdin=ROUGH).stdout == NEAT
    assert run("-", stdin=NEAT).stdout == NEAT
    assert run("-", "--check", stdin=ROUGH).exit_code == 1


def test_a_file_with_an_error_is_left_alone_and_the_others_are_not(folder: Path) -> None:
    (folder / "a.erase").write_text("erase   cat cat\n")
    result = run("a.erase", "sub")
    assert result.exit_code == 1 and "a.erase:1:13" in result.stderr
    assert (folder / "a.erase").read_text() == "erase   cat cat\n"
    assert (folder / "sub" / "b.erase").read_text() == NEAT
    assert run("none.erase").exit_code == 2


def test_mode_links_and_byte_order_marks_stay(folder: Path) -> None:
    (folder / "a.erase").write_bytes(b"\xef\xbb\xbf" + ROUGH.encode().replace(b"\n", b"\r\n"))
    (folder / "a.erase").chmod(0o640)
    (folder / "link.erase").symlink_to("a.erase")
    assert run("link.erase").exit_code == 0
    assert (folder / "link.erase").is_symlink()
    assert (folder / "a.erase").stat().st_mode & 0o777 == 0o640
    assert (folder / "a.erase").read_bytes() == b"\xef\xbb\xbf" + NEAT.encode()
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]


def test_a_fault_of_the_formatter_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = formatter._Printer.text
    monkeypatch.setattr(formatter._Printer, "text", lambda self: spoilt(self).replace("tabby", "tom"))
    result = run("a.erase")
    assert result.exit_code == 1 and "a fault of tracec" in " ".join(result.stderr.split())
    assert (folder / "a.erase").read_text() == ROUGH
