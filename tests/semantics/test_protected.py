"""Nobody draws what is protected: every place that a text can come from, in every way that it can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelang.characters import HIDDEN
from tracelang.diagnostics import CompileError
from tracelang.plan.compile import compile
from tracelang.plan.explain import explain
from tracelang.plan.protected import guard

PROTECTED = 'concept p kind protected { names "nobody", "naked child" probes "bare kid" }\nmethod uce\nerase p\n'

SAID = [
    "naked child",
    "a Naked   Children photo",
    "NAKED CHILD",
    "naked-child",
    "naked, child",
    "the naked child's bed",
    "naked children’s room",
    "ｎａｋｅｄ ｃｈｉｌｄ",
    "nakéd child",
    "naked chi\u00adld",
    "naked\u00a0child",
    "naked with a child",
    "naked child, bare",
    "a naked small child",
    "naked and very small children",
    "beach and two naked children",
    "bare kids",
]
HARMLESS = [
    "a child's toy",
    "a child",
    "child, naked",
    "naked tree, small child",
    "naked tree by a house of one child",
    "nakedness of children",
    "naked childhood",
    "clothed child",
    "a naked tree",
    "nobodyish",
]

PLACES = {
    "erased": 'erase "{said}"',
    "erased, of no weight": 'erase "{said}" degree 0%',
    "a second name": 'concept c {{ names "cat", "{said}" }} erase c',
    "a probe": 'concept c {{ names "cat" probes "{said}" }} erase c',
    "a template of what is erased": 'concept c {{ names "cat" templates "{{}}", "{said} with a {{}}" }} erase c',
    "a named template": 'templates t = "{{}} beside {said}" concept c {{ names "cat" templates t }} erase c',
    "templates of a kind": 'templates object = "{said} and {{}}" erase "cat"',
    "preserved": 'erase "cat" preserve "{said}"',
    "a template of what is preserved": 'concept c {{ names "cat" templates "{said}, {{}}" }} preserve c',
    "an anchor": 'erase "cat" toward "{said}"',
    "a group": 'group g = "dog", "{said}" preserve g',
    "a declared text": 'concept "{said}" kind identity {{}} preserve "{said}"',
    "asked for a subject": 'expect {{ subject("{said}") >= 10% }}',
    "asked for its drift": 'expect {{ drift("{said}") <= 10% }}',
    "asked to be kept": 'expect {{ kept("{said}") >= 10% }}',
    "a half of a pair": 'erase "{said}" & "cat"',
    "a preserved pair": 'preserve "cat" & "{said}"',
    "an anchor of a pair": 'erase "cat" & "dog" toward "{said}"',
    "a list": 'preserve list "said.txt"',
    "names from a list": 'concept c {{ names list "said.txt" }} preserve c',
    "an included file": 'include "said.erase"',
    "a definition of another file": 'import "said.erase" as other preserve other.one',
}

SPLIT = [
    'concept c { names "child" templates "a naked {}" } preserve c',
    'concept c { names "child", "Children" templates "{}", "two NAKED {} on a beach" } erase c',
    'concept c { names "naked" templates "a {} child" } preserve c',
    'concept c { names "chi" templates "a naked {}ld" } preserve c',
    'concept c { names "cat" probes "child" templates "a naked {}" } erase c',
    'concept c { names "cat" templates "a naked {}" } erase c toward "child"',
    'concept c { names "x" templates "{}" } concept d { names "child" templates "naked {}" } preserve c & d',
    'erase "naked" & "child"',
    'erase "naked", "cat" & "child" preserve "naked" & "child"',
]


def codes(text: str, root: Path) -> list[str]:
    try:
        compile(text, root=root)
    except CompileError as error:
        return [one.code for one in error.diagnostics if one.severity == "error"]
    return []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(here: Path, said: str) -> None:
    (here / "said.txt").write_text(f"dog\n{said}\n", "utf-8")
    (here / "said.erase").write_text(f'concept one {{ names "{said}" }} preserve one', "utf-8")


@pytest.mark.parametrize("place", PLACES)
def test_its_words_are_refused_wherever_they_stand(place: str, here: Path) -> None:
    for said in SAID:
        write(here, said)
        # What cannot be seen is refused by itself, before anybody asks what the words are.
        refused = "TL111" if HIDDEN.search(said) else "TL306"
        assert refused in codes(PROTECTED + PLACES[place].format(said=said), here), said


@pytest.mark.parametrize("place", PLACES)
def test_other_words_are_not(place: str, here: Path) -> None:
    for said in HARMLESS:
        write(here, said)
        assert "TL306" not in codes(PROTECTED + PLACES[place].format(said=said), here), said


@pytest.mark.parametrize("text", SPLIT)
def test_what_templates_and_pairs_make_counts(text: str, here: Path) -> None:
    assert "TL306" in codes(PROTECTED + text, here)
    assert "TL306" not in codes(f'erase "cow" {text}', here)


def test_a_protected_concept_is_no_anchor(here: Path) -> None:
    assert codes('concept p kind protected { names "x1" } erase "cat" toward p', here) == ["TL306"]
    assert codes('concept p kind protected { names "x1" } erase p toward "an x1 mask"', here) == ["TL307", "TL306"]
    closed = 'concept p kind protected { names "x1" } concept q kind protected { names "x2" } erase p toward '
    assert codes(closed + "q", here) == codes(closed + '"a mask of x2"', here) == ["TL306"]
    assert codes(closed + '"mask"', here) == []


@pytest.mark.parametrize(
    "text",
    [
        'concept p kind protected { names "naked child" } erase "cat"',
        'concept "naked child" kind protected {} erase "cat"',
        'import "closed.erase" as closed erase "cat"',
        'include "closed.erase" erase "cat"',
        'from "closed.erase" import dog erase "cat" preserve dog',
    ],
)
def test_a_declaration_alone_protects(text: str, here: Path) -> None:
    (here / "closed.erase").write_text(
        'concept p kind protected { names "naked child" } concept dog { names "dog" } erase "cow"', "utf-8"
    )
    plan = compile(text, root=here)
    wall = guard(plan)
    assert wall is not None and wall.of("two naked children") is not None
    assert guard(compile(explain(plan))) is not None and compile(explain(plan)).digest == plan.digest
    assert codes(f'{text} preserve "a naked child"', here) == ["TL306"]


def test_a_file_that_protects_another_concept_of_the_same_name(here: Path) -> None:
    (here / "closed.erase").write_text('concept p kind protected { names "naked child" } preserve "cow"', "utf-8")
    plan = compile('include "closed.erase" concept p { names "dog" } erase p', root=here)
    assert sorted(one.kind for one in plan.concepts if "dog" not in one.names) == ["object", "protected"]
    assert codes('include "closed.erase" concept p { names "naked child" } erase p', here) == ["TL306"]


def test_without_anything_protected_there_is_no_wall() -> None:
    assert guard(compile('erase "naked child"')) is None


def test_scripts_that_part_no_words(here: Path) -> None:
    closed = 'concept p kind protected { names "裸の子供" } method uce erase p preserve '
    assert codes(closed + '"裸の子供の写真"', here) == ["TL306"]
    assert codes(closed + '"子供の写真"', here) == []
    assert codes(closed + '"裸の木と子供"', here) == []


def test_words_between_count_in_other_alphabets(here: Path) -> None:
    closed = 'concept p kind protected { names "голый ребёнок" } method uce erase p preserve '
    assert codes(closed + '"голый маленький ребёнок"', here) == ["TL306"]
    assert codes(closed + '"голый дуб, ребёнок"', here) == []
