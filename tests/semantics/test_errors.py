"""Every contradiction of a recipe is found in one run, with its code and its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.snippets import snippets
from tracelang.diagnostics.codes import CODES
from tracelang.plan.compile import compile_with_findings

HERE = Path(__file__).parent
BAD = snippets(HERE / "bad.txt")


@pytest.mark.parametrize(("note", "text"), BAD, ids=[note for note, _ in BAD])
def test_bad_snippet(note: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    plan, found = compile_with_findings(text, root=HERE)
    assert plan is None
    assert [f"{d.code} {d.location.removeprefix('<recipe>:')}" for d in found] == note.split(", ")
    assert all(d.code in CODES for d in found)


def test_codes_and_sources_agree() -> None:
    package = Path(__file__).parents[2] / "tracelang"
    used = {code for path in package.rglob("*.py") for code in re.findall(r'"(TL\d{3})"', path.read_text("utf-8"))}
    assert used == set(CODES)


def test_an_unknown_name_is_met_with_the_nearest_one() -> None:
    _, found = compile_with_findings('concept nudity { names "n" } erase nudty')
    assert found[0].help == "did you mean `nudity`?"


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ('erase "x" toward clothed', "did you mean `a.clothed`?"),
        ('erase "x" toward a', "`a` is an import: write `a.` and a name"),
        ('erase "x" toward a.clothd', "did you mean `clothed`?"),
        ('erase "x" toward b.clothed', "did you mean `a.clothed`?"),
        ('erase "x" toward b.nowhere', "known here: a"),
        ('erase "x" method maze', "did you mean `mace`?"),
        ('from "std/anchors.erase" import persn erase "x"', "did you mean `person`?"),
        ('import "std/anchor.erase" as b erase "x"', "did you mean `anchors.erase`?"),
        ('recipe "r" { supports = sdlx } erase "x"', "did you mean `sdxl`?"),
    ],
)
def test_help(text: str, help: str) -> None:
    _, found = compile_with_findings(f'import "std/anchors.erase" as a {text}')
    assert [one.help for one in found] == [help]


def test_a_list_that_is_no_utf_8_is_located_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    _, found = compile_with_findings('erase list "lists/broken.txt"', root=HERE)
    assert [(d.code, d.location) for d in found] == [("TL105", "lists/broken.txt:2:1")]


def test_a_link_does_not_lead_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("cat\n")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    recipe = root / "r.erase"
    recipe.write_text('erase list "link.txt"')
    assert [d.code for d in compile_with_findings(recipe, root=root)[1]] == ["TL217"]
    assert compile_with_findings(recipe, root=tmp_path)[0] is not None


def test_a_list_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"a\n" * (8 << 20) + b"b\n")
    (tmp_path / "r.erase").write_text('erase list "big.txt"')
    assert [d.code for d in compile_with_findings(tmp_path / "r.erase", root=tmp_path)[1]] == ["TL106"]


def test_deep_definitions_are_refused_in_any_order() -> None:
    chain = [f"group g{i} = g{i + 1}" for i in range(200)]
    for order in (chain, chain[::-1]):
        _, found = compile_with_findings("\n".join([*order, 'group g200 = "x"', "erase g0"]))
        assert {d.code for d in found if d.severity == "error"} <= {"TL215"}


@pytest.mark.parametrize(
    "text",
    [
        "layers a0 = key " + " ".join(f"layers a{i + 1} = a{i} - (a{i} in mid)" for i in range(60)),
        "layers a = key" + " - value" * 5000,
        "layers a = " + "(" * 50 + "key" + " in mid)" * 50,
    ],
    ids=["doubling", "long", "deep"],
)
def test_layer_sets_have_limits(text: str) -> None:
    assert {d.code for d in compile_with_findings(text + ' erase "x"')[1]} == {"TL107"}


def test_a_product_has_a_limit() -> None:
    side = ", ".join(f'"{{}}{i}"' for i in range(40))
    factors = " & ".join(f"({side.replace('{}', letter)})" for letter in "abcdefghij")
    assert [d.code for d in compile_with_findings(f"erase {factors}")[1]] == ["TL213"]
