"""An importer of another tool's file is one module and one row of `TOOLS`, shown by adding one at run time."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module, reload
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracelang import importers
from tracelang.cli import main
from tracelang.plan.compile import compile

MODULE = '''"""A plain list, one thing a line: what is to go, and what is to stay behind a plus."""

from __future__ import annotations

from tracelang.diagnostics import Findings, Source, Span
from tracelang.importers.draft import Draft


def convert(source: Source, folder: str, findings: Findings) -> Draft | None:
    draft = Draft("lines", source, findings)
    start = 0
    for line in source.text.splitlines(keepends=True):
        span = Span(source, start, start + len(line.rstrip()))
        start += len(line)
        mark, text = line[:1], line[1:].strip()
        if mark == "+":
            draft.preserve(text, span)
        elif mark == "-":
            draft.erase(text, span)
        elif line.strip():
            draft.left_out(f"a line without a sign is skipped: {line.strip()}", span)
    draft.method = "method uce"
    return draft
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The two files: the module `lines`, and its row in the table."""
    command = import_module("tracelang.cli.import_")
    (tmp_path / "lines.py").write_text(MODULE, "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
        patch.setitem(importers.TOOLS, "lines", "list of lines with a sign")
        patch.chdir(tmp_path)
        reload(command)  # the command makes its choices once
        yield
    reload(command)


def run(*words: str, stdin: str = "") -> Result:
    result = CliRunner().invoke(main, ["import", *words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.usefixtures("added")
def test_a_tool_that_was_added_is_imported_like_the_others() -> None:
    assert "lines: the list of lines with a sign" in " ".join(run("--help").stdout.split())
    Path("mine.txt").write_text("-wild cat\nwhat is this\n+house cat\n", "utf-8")
    found = run("lines", "mine.txt")
    plan = compile(found.stdout)
    assert found.exit_code == 0 and plan.method.name == "uce" and found.stdout.startswith("# Written by `tracec import")
    assert [plan.concept(one.targets[0]).names for one in plan.erase] == [("wild cat",)]
    assert [plan.concept(one.concepts[0]).names for one in plan.preserve] == [("house cat",)]
    assert "TL133" in found.stderr and "mine.txt:2:1" in found.stderr and "what is this" in found.stdout


@pytest.mark.usefixtures("added")
def test_the_promises_of_an_import_hold_for_it() -> None:
    both = run("lines", "-", stdin="-cat\n+cat\n")
    assert both.exit_code == 1 and "both erased and preserved" in both.stderr and not both.stdout


def test_without_the_row_there_is_no_such_tool() -> None:
    result = run("lines", "-", stdin="-cat\n")
    assert result.exit_code == 2 and "lines" in result.stderr and "leco" in result.stderr
