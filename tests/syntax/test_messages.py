"""The words for syntax errors are those of `grammar/messages.txt`, and leave no place without any."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tracelang.diagnostics import Findings, Source
from tracelang.syntax import phrases
from tracelang.syntax.automaton import statements
from tracelang.syntax.derive import SNIPPETS, derive, dump
from tracelang.syntax.parser import parse
from tracelang.syntax.phrases import MESSAGES
from tracelang.syntax.table import load

TABLE = load()


def first(text: str) -> tuple[str, str]:
    report = Findings()
    parse(Source("x", text), report)
    return report.findings[0].message, report.findings[0].help


def test_the_messages_are_current() -> None:
    assert MESSAGES.read_text("utf-8") == dump(derive(SNIPPETS.read_text("utf-8"))), phrases.COMMAND


def test_every_state_has_its_words() -> None:
    """Where names, texts or numbers may follow, the table of states cannot tell what for; else it can."""
    states = map(TABLE.states.__getitem__, range(len(TABLE.states.rows)))
    after_a_token = {to for state in states for kind, to in state.items() if kind.isupper() and to >= 0}
    values = {"NAME", "NUMBER", "STRING"}
    needed = {str(to) for to in after_a_token if any(TABLE.states[to].get(kind, -1) >= 0 for kind in values)}
    assert phrases.phrases().expected.keys() == needed


def test_every_statement_has_an_example_that_is_right() -> None:
    begun = {str(TABLE.states[TABLE.start][kind]) for kind in statements(TABLE).values()}
    examples = phrases.phrases().example
    assert examples.keys() == begun
    for example in examples.values():
        assert parse(Source("x", example), Findings()), example


@pytest.mark.parametrize(
    ("snippets", "said"),
    [
        ('help one\nerase "a" | "b"\n### help two\nerase "b" | "c"', "has its words already: one"),
        ("expected one\nerase\n### expected two\nerase", "has its words already: one"),
        ('help it\nerase "a" | away', "nothing is wrong here"),
        ('help it\nerase "a" "b" | "c"', "not right up to its end"),
        ('help it\nwindow w = 1..2 … erase "b" | to', "ends before the last token"),
        ('help it\nerase "a" | @', "no token: @"),
        ("character it\nerase | =", "no unreadable character"),
    ],
)
def test_snippets_that_are_not_what_their_label_says(snippets: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        derive("\n### " + snippets)


def test_help_goes_for_its_place_or_for_what_is_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here, inside, outside = 'erase "a" degree 1 | to', 'erase … "a" | to', "… group g = a | to"
    known = derive(f"\n### help here\n{here}\n### help inside\n{inside}\n### help outside\n{outside}")
    monkeypatch.setattr("tracelang.syntax.messages.phrases", lambda: replace(phrases.phrases(), help=known.help))
    assert first('erase "a" degree 2 to')[1] == "here"
    assert first('erase "a" away to')[1] == first('erase "a" to')[1] == "inside"
    assert first('preserve "a" to')[1] == first("erase x\npreserve a to")[1] == "outside"


def test_messages_of_another_table_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stale = tmp_path / "messages.json"
    stale.write_text(dump(replace(phrases.phrases(), table="0")), "utf-8")
    monkeypatch.setattr(phrases, "MESSAGES", stale)
    with pytest.raises(RuntimeError, match=phrases.COMMAND.replace(".", "[.]")):
        phrases.phrases.__wrapped__()


def test_a_right_file_loads_no_messages() -> None:
    code = """import sys
from tracelang.diagnostics import Findings, Source
from tracelang.syntax.parser import parse
assert parse(Source("x", "erase a"), Findings())
print(sorted(sys.modules.keys() & {f"tracelang.syntax.{name}" for name in ("messages", "phrases", "automaton")}))
parse(Source("x", "erase"), Findings())
print("tracelang.syntax.phrases" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n"


def test_the_words_name_no_terminal() -> None:
    words = [text for sort in ("expected", "example", "help") for text in asdict(phrases.phrases())[sort].values()]
    assert not [text for text in words if text.isupper() or "__" in text or not text.strip()]
