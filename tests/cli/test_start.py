"""How a command begins: `lint` of files without click, `--help` without what wraps lines; both as click has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from tracelang.cli import main
from tracelang.cli.commands import Commands

RUN = """
import sys
from tracelang.cli import run
import atexit
atexit.register(lambda: print(sorted({"click", "textwrap"} & set(sys.modules)), file=sys.stderr))
run()
"""


def ran(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output, and which of the dear modules were loaded."""
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.splitlines()[-1]


def test_lint_of_files_finds_the_same_without_click(tmp_path: Path) -> None:
    (tmp_path / "bad.erase").write_text('tracelang 1\nerase "cat" degree 80\n', "utf-8")
    (tmp_path / "good.erase").write_text('tracelang 1\nerase "cat" preserve "statue"\n', "utf-8")
    bad, good = str(tmp_path / "bad.erase"), str(tmp_path / "good.erase")
    for files in ([bad], [good], [bad, good]):
        code, text, loaded = ran("lint", *files)
        assert (code, text) == ran("lint", "--color", "auto", *files)[:2]
        assert loaded == "[]" and ("80%" in text) == (bad in files)


INTERRUPTED = """import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&`, with tests behind it, takes that away
signal.signal(signal.SIGPROF, lambda *_: os.kill(os.getpid(), signal.SIGINT))
signal.setitimer(signal.ITIMER_PROF, 0.6)  # of its own processor: what it has begun by then takes longer than that
"""


def test_ctrl_c_ends_it_as_it_ends_what_click_runs(tmp_path: Path) -> None:
    (tmp_path / "long.erase").write_text("tracelang 1\n" + "a $ b\n; " * 110_000, "utf-8")
    told = []
    for words in ([], ["--color", "auto"]):
        command = [sys.executable, "-c", f"{INTERRUPTED}{RUN}", "lint", *words, "long.erase"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        told.append((done.returncode, done.stderr.splitlines()[:-1]))
    assert told == [(1, ["", "Aborted!"])] * 2


@pytest.mark.parametrize("words", (["nowhere.erase"], ["."], ["-"], ["--", "nowhere.erase"]))
def test_whatever_else_stands_there_is_for_click(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, "lint", *words]
    done = subprocess.run(command, cwd=tmp_path, input="", capture_output=True, text=True, check=False)
    assert "'click'" in done.stderr.splitlines()[-1]


def test_the_list_of_commands_is_shown_as_click_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(main, Commands)
    for name in ("tracec", "python -m tracelang"):
        for columns in (40, 60, 70, 80, 200):
            monkeypatch.setenv("COLUMNS", str(columns))
            ctx = click.Context(main, info_name=name)
            assert main.get_help(ctx) == click.Group.get_help(main, ctx)


def test_on_a_common_terminal_no_line_of_help_is_wrapped() -> None:
    assert ran("--help")[2] == "['click']"
