"""Findings come as one types, with what can be done about them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from lsprotocol import types

from tests.lsp.editor import Editor, applied, codes, editor, stretch
from tracelang.diagnostics import Source
from tracelang.semantics.rules.lint import Lint

KEPT = 'preserve "dog"\nexpect { shown("cat") <= 5% kept("dog") >= 90% }\n'
CLEAN = f'tracelang 1\n\nerase "cat"\n{KEPT}'


def linted(folder: Path, text: str) -> list[str]:
    return [one.code for one in Lint(folder, folder, date.today()).findings(Source("r.erase", text))]


def test_they_are_those_of_lint_and_go_when_they_are_mended(here: Editor) -> None:
    broken = f'tracelang 1\nerase nobody\nerase "cat" toward\ngroup g = "a"\n{KEPT}'
    expected = linted(here.folder, broken)
    assert "TL201" in expected and "TL101" in expected
    here.type("a.erase", broken)
    found = here.heard("a.erase", expected)
    severities = {"TL201": types.DiagnosticSeverity.Error, "TL101": types.DiagnosticSeverity.Error}
    assert all(one.severity == severities.get(str(one.code), one.severity) and one.source == "tracec" for one in found)
    here.type("a.erase", CLEAN)
    here.heard("a.erase", [])


def test_every_word_typed_leads_from_findings_to_findings(here: Editor) -> None:
    """Half a statement more or less never stops the server, and the last text is the one that counts."""
    for end in range(len(CLEAN) - 40, len(CLEAN) + 1):
        here.type("b.erase", CLEAN[:end])
    here.heard("b.erase", [])


def test_columns_are_counted_as_the_editor_counts_them(here: Editor) -> None:
    text = f'tracelang 1\nerase "cat" # \U0001f600 猫\npreserve "\U0001f600é" weight nothing\n{KEPT}'
    here.type("c.erase", text)
    found = here.heard("c.erase", lambda found: "TL212" in codes(found))
    (wrong,) = [one for one in found if one.code == "TL212"]
    assert stretch(text, wrong.range) == "nothing"
    line = text.split("\n")[2]
    assert wrong.range.start.character == line.index("nothing") + 1  # the emoji takes two units


def test_a_finding_in_a_list_is_told_at_the_list(here: Editor) -> None:
    path = here.write("bad.csv", "name,kind\na\n")
    here.type("d.erase", f'tracelang 1\nerase list "bad.csv" column "name"\n{KEPT}')
    found = here.heard("bad.csv", ["TL226"])
    assert found[0].range.start.line == 1 and path.exists()
    assert any("d.erase" in one.location.uri for one in found[0].related_information or ())
    here.close("d.erase")
    here.heard("bad.csv", [])
    here.heard("d.erase", [])


def test_an_unsaved_import_counts(here: Editor) -> None:
    here.write("lib.erase", 'tracelang 1\nconcept fox { names "fox" }\n')
    user = (
        'tracelang 1\nimport "lib.erase" as lib\nerase lib.wolf\npreserve "dog"\n'
        'expect { shown(lib.wolf) <= 5% kept("dog") >= 90% }\n'
    )
    here.type("user.erase", user)
    here.heard("user.erase", lambda found: codes(found).count("TL201") == 2)
    here.type("lib.erase", 'tracelang 1\nconcept wolf { names "wolf" }\n')
    here.heard("user.erase", [])
    here.close("lib.erase")
    here.heard("user.erase", lambda found: codes(found).count("TL201") == 2)


def test_an_unsaved_list_counts(here: Editor) -> None:
    here.write("animals.txt", "\n")
    here.type("e.erase", f'tracelang 1\nerase "cat"\nerase list "animals.txt"\n{KEPT}')
    here.heard("e.erase", lambda found: "TL218" in codes(found))
    here.type("animals.txt", "erase nobody\n")
    here.heard("e.erase", [])
    assert here.uri("animals.txt") not in here.told and here.hover("animals.txt", "era|se nobody\n") == ""


def test_two_files_that_import_each_other(here: Editor) -> None:
    for one, other in (("left", "right"), ("right", "left")):
        here.write(f"{one}.erase", f'tracelang 1\nimport "{other}.erase" as o\nconcept {one} {{ names "{one}" }}\n')
    for name in ("left", "right"):
        here.type(f"{name}.erase", (here.folder / f"{name}.erase").read_text())
    for name in ("left", "right"):
        here.heard(f"{name}.erase", lambda found: "TL225" in codes(found))
    assert "concept `left`" in here.hover(
        "left.erase", (here.folder / "left.erase").read_text().replace("concept le", "concept le|")
    )


def test_a_fix_and_an_allowance(here: Editor) -> None:
    text = f'erase "cat"\ngroup g| = "a"\n{KEPT}'
    here.type("f.erase", text)
    unused = here.actions("f.erase", text)
    titles = [one.title for one in unused]
    assert any("Allow TL501 here" in title for title in titles)
    (allow,) = [one for one in unused if "Allow TL501" in one.title]
    bare = text.replace("|", "")
    after = applied(bare, allow.edit.changes[here.uri("f.erase")])
    assert "# tracec: allow TL501 \ngroup g" in after
    reasoned = after.replace("TL501 ", "TL501 for later ")
    assert "TL501" not in linted(here.folder, reasoned) and "TL501" in linted(here.folder, bare)


def test_the_fix_is_the_one_of_lint(here: Editor) -> None:
    text = f'erase "cat"\n{KEPT}'
    expected, _ = Lint(here.folder, here.folder, date.today()).mended(Source("r.erase", text))
    assert expected.text != text
    here.type("g.erase", text)
    (every,) = here.actions("g.erase", text, only=["source.fixAll"])
    assert applied(text, every.edit.changes[here.uri("g.erase")]) == expected.text
    found = [one for one in here.actions("g.erase", "|" + text) if one.is_preferred]
    assert found and found[0].kind == types.CodeActionKind.QuickFix
    assert applied(text, found[0].edit.changes[here.uri("g.erase")]) == expected.text


HOSTILE = {
    "nothing": "",
    "binary": "".join(map(chr, range(256))) * 40,
    "half a pair": 'erase "\ud83d"',
    "deep": "layers l = " + "(" * 20_000 + "text" + ")" * 20_000,
    "open": "define method m { steer { " * 2_000,
    "quotes": '"' * 10_001,
    "returns": "erase cat\r\r\rerase dog\r",
    "too large": 'erase "cat"\n' * 100_000,
    "newer": "tracelang 99\nerase everything",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts(here: Editor, kind: str) -> None:
    """Each gets findings, and every question an answer; the server goes on."""
    text = HOSTILE[kind]
    if "\ud83d" in text:
        text = text.replace("\ud83d", "\\ud83d")  # as JSON may spell it; the client can write nothing else
    here.type("h.erase", text)
    here.hover("h.erase", "|" + text)
    here.offered("h.erase", text + "|")
    assert here.definition("h.erase", "|" + text) is None
    assert here.formatted("h.erase", text) in (None, text, text + "\n")
    here.actions("h.erase", text)
    here.type("h.erase", text + "\nerase nobody\n")
    found = here.heard("h.erase", lambda found: bool(found))
    assert found[0].severity == types.DiagnosticSeverity.Error
    here.close("h.erase")
    here.heard("h.erase", [])


def test_nothing_outside_of_the_root_is_read(here: Editor) -> None:
    outside = here.folder.parent / "outside.erase"
    outside.write_text('concept secret { names "secret" }\n')
    text = f'tracelang 1\nimport "../outside.erase" as o\nerase o.secret\n{KEPT}'
    here.type("i.erase", text)
    here.heard("i.erase", lambda found: "TL217" in codes(found))
    assert here.definition("i.erase", text.replace("outside", "out|side")) is None
    assert here.definition("i.erase", text.replace("o.secret", "o.sec|ret")) is None
    assert here.labels('import "../|') == []
    assert here.labels('import "/|') == []


def test_the_configuration_counts(here: Editor) -> None:
    """What it ignores is not told, what it requires is, and what is wrong in it is told there."""
    text = f'tracelang 1\ngroup g = "a"\nerase "cat"\n{KEPT}'
    here.write("team/minimum.erase", f'tracelang 1\nerase "wolf"\n{KEPT.replace("cat", "wolf")}')
    config = here.write("team/tracelang.toml", "")
    here.type("team/r.erase", text)
    here.heard("team/r.erase", lambda found: "TL501" in codes(found))
    config.write_text('ignore = ["TL501"]\nrequire = ["minimum.erase"]\n')
    here.type("team/r.erase", text + "\n")
    here.heard("team/r.erase", ["TL429"])
    config.write_text("ignroe = []\n")
    here.type("team/r.erase", text)
    here.heard("team/tracelang.toml", ["TL141"])
    config.write_text("")
    here.type("team/r.erase", text + "\n")
    here.heard("team/tracelang.toml", [])


def test_a_document_without_a_file(here: Editor) -> None:
    here.write("names.txt", "fox\n")
    here.type("untitled:Untitled-1", f'tracelang 1\nerase "cat"\nerase list "names.txt"\n{KEPT}')
    here.heard("untitled:Untitled-1", [])
    here.type("untitled:Untitled-1", "erase nobody\n")
    here.heard("untitled:Untitled-1", lambda found: "TL201" in codes(found))


def test_a_root_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "shared.txt").write_text("fox\n")
    (tmp_path / "team").mkdir()
    text = f'tracelang 1\nerase "cat"\nerase list "../shared.txt"\n{KEPT}'
    with editor(tmp_path / "team", "--root", str(tmp_path)) as one:
        one.type("r.erase", text)
        one.heard("r.erase", [])
    assert "TL217" in linted(tmp_path / "team", text)
