"""`preserve prior`: what it means, where the name means something else, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tracelang.diagnostics import Findings, Source
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.explain import explain
from tracelang.plan.types import Plan
from tracelang.semantics.prior import Prior, sampled
from tracelang.semantics.resolve import resolve
from tracelang.syntax.parser import parse

ERASE = 'tracelang 1\nerase "cat"\n'


def compiled(text: str) -> Plan:
    return compile(ERASE + text)


def codes(text: str, root: Path | None = None) -> list[str]:
    return [one.code for one in compile_with_findings(ERASE + text, root=root)[1] if one.severity == "error"]


def test_the_vocabulary_with_every_default_in_the_plan() -> None:
    plan = compiled("preserve prior")
    assert plan.prior == (Prior("vocabulary", (), 0.1, 0.8, 2000, 0),) and not plan.preserve
    assert "preserve prior weight 0.1 { cosine = 0.8  sample = 2000  seed = 0 }" in explain(plan)


def test_settings_and_given_prompts() -> None:
    plan = compiled('preserve prior weight 3 { cosine = 0.5 seed = 7 }\npreserve prior "b", "a", "b" weight 2')
    assert [(one.kind, one.prompts, one.weight) for one in plan.prior] == [
        ("vocabulary", (), 3.0),
        ("given", ("a", "b"), 2.0),
    ]
    assert (plan.prior[0].cosine, plan.prior[0].seed) == (0.5, 7)


@pytest.mark.parametrize(
    "text",
    [
        "preserve prior",
        'preserve prior "a", "b" weight 2',
        'preserve prior "a"\npreserve prior weight 1',
        'preserve "prior"\npreserve prior',
        'concept "prior" { names "priory" }\npreserve "prior"\npreserve prior',
        'preserve prior "tab\\there"',
    ],
)
def test_what_is_explained_means_the_same(text: str) -> None:
    plan = compiled(text)
    again = compile(explain(plan))
    assert again.prior == plan.prior and again.digest == plan.digest and explain(again) == explain(plan)


@pytest.mark.parametrize(
    "text",
    [
        'concept prior { names "priory" }\npreserve prior weight 2',
        'group prior = "priory"\npreserve prior weight 2',
        'group prior = "priory"\npreserve prior, "dog" weight 2',
        'param prior = 2 in 1..3\npreserve "priory" weight param.prior',
    ],
)
def test_a_name_of_the_recipe_stays_what_it_was(text: str) -> None:
    plan = compiled(f"{text}\nmethod uce")
    assert not plan.prior and "priory" in {name for one in plan.concepts for name in one.names}
    assert '"prior":' not in plan.canonical_json()


def test_a_name_that_another_file_brings(tmp_path: Path) -> None:
    (tmp_path / "names.erase").write_text('tracelang 1\nconcept prior { names "priory" }\n', "utf-8")
    recipe = tmp_path / "recipe.erase"
    recipe.write_text(ERASE + 'from "names.erase" import prior\npreserve prior\nmethod uce', "utf-8")
    assert not compile(recipe, root=tmp_path).prior
    recipe.write_text(ERASE + 'import "names.erase" as n\npreserve n.prior\npreserve prior\nmethod uce', "utf-8")
    assert len(compile(recipe, root=tmp_path).prior) == 1


def test_a_column_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "coco.csv").write_text("id,caption\n1,a red house\n2,two dogs\n2,two dogs\n", "utf-8")
    recipe = tmp_path / "recipe.erase"
    recipe.write_text(ERASE + 'preserve prior list "coco.csv" column "caption", "a street"\nmethod uce', "utf-8")
    plan = compile(recipe, root=tmp_path)
    assert plan.prior[0].prompts == ("a red house", "a street", "two dogs")
    assert [one.role for one in plan.sources] == ["recipe", "list"] and plan.sources[1].path == "coco.csv"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('preserve prior list "../coco.csv" column "caption"', "TL217"),
        ('preserve prior list "none.txt"', "TL216"),
        ('preserve prior list "coco.csv"', "TL227"),
        ('preserve prior list "empty.txt"', "TL218"),
        ('preserve prior ""', "TL213"),
        ('preserve prior, "dog"', "TL201"),
        ('preserve "dog" { sample = 2 }', "TL206"),
        ("preserve prior { weight = 2 }", "TL206"),
        ("preserve prior { angle = 2 }", "TL206"),
        ("preserve prior { sample = 2 sample = 3 }", "TL211"),
        ("preserve prior { cosine = 1.5 }", "TL213"),
        ("preserve prior { sample = 0 }", "TL213"),
        ("preserve prior weight 0", "TL213"),
        ("preserve prior\npreserve prior weight 2", "TL309"),
        ("erase prior", "TL201"),
    ],
)
def test_what_is_refused(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "coco.csv").write_text("id,caption\n1,a red house\n", "utf-8")
    (tmp_path / "empty.txt").write_text("# nothing\n", "utf-8")
    recipe = tmp_path / "root" / "recipe.erase"
    recipe.parent.mkdir()
    for name in ("coco.csv", "empty.txt"):
        (tmp_path / "root" / name).write_bytes((tmp_path / name).read_bytes())
    recipe.write_text(ERASE + text, "utf-8")
    found = compile_with_findings(recipe, root=recipe.parent)[1]
    assert [one.code for one in found if one.severity == "error"] == [code]
    assert all(one.help or code == "TL213" for one in found if one.severity == "error")


def test_the_same_statement_twice_counts_once() -> None:
    assert compiled("preserve prior\npreserve prior weight 0.1").prior == compiled("preserve prior").prior


def test_a_prior_is_something_preserved() -> None:
    assert "TL403" not in [one.code for one in compile_with_findings(ERASE + "preserve prior")[1]]
    assert "TL403" in [one.code for one in compile_with_findings(ERASE)[1]]


IMPLIED = (Prior("vocabulary", (), 0.1, 0.8, 2000, 0),)


def test_the_shipped_method_holds_the_vocabulary_by_itself() -> None:
    plan = compiled("")
    assert plan.prior == IMPLIED == compiled("preserve prior").prior
    assert plan.digest == compiled("preserve prior").digest
    assert "preserve prior weight 0.1 { cosine = 0.8  sample = 2000  seed = 0 }" in explain(plan)
    assert [one.prior for one in map(compiled, ("method trace_fast", "method trace_robust"))] == [IMPLIED, IMPLIED]
    assert not compiled("method trace_paper").prior and not compiled("method trace { refine.prior = 0 }").prior


@pytest.mark.parametrize(
    "own", ["method trace", "method trace { refine.prior = 3 }", "method uce { refine.prior = 3 }"]
)
def test_a_stated_prior_wins_over_a_pass_and_given_prompts_stand_beside_it(own: str) -> None:
    stated = compiled(f"preserve prior weight 0.02 {{ sample = 9 }}\n{own}")
    assert stated.prior == (Prior("vocabulary", (), 0.02, 0.8, 9, 0),)
    both = compiled(f'preserve prior "x" weight 2\n{own}').prior
    assert [(one.kind, one.weight) for one in both] == [
        ("vocabulary", 0.1 if own == "method trace" else 3),
        ("given", 2),
    ]


def test_of_several_passes_the_largest_weight_is_held_and_stands_where_it_is_written() -> None:
    text = f"""{ERASE}method two {{ b.prior = 0.4 }}
    define method two {{ refine as a {{ prior = 0.2 }} refine as b {{ prior = 0.1 }} }}"""
    report = Findings()
    file = parse(Source("x", text), report)
    resolution = file and resolve(file, report, folder=Path(), root=Path())
    assert resolution
    (one,) = resolution.program.prior
    assert one.implied and one.prior.weight == 0.4 and one.span.text == "0.4"


@pytest.mark.parametrize("text", ["", "method trace { refine.prior = 0.3 }", 'preserve prior "x"', "method trace_fast"])
def test_what_a_pass_holds_is_explained_and_means_the_same(text: str) -> None:
    plan = compiled(text)
    again = compile(explain(plan))
    assert again.prior == plan.prior and again.digest == plan.digest and explain(again) == explain(plan)


def test_what_a_pass_holds_is_nothing_that_the_recipe_preserves() -> None:
    assert "TL403" in [one.code for one in compile_with_findings(f"{ERASE}method trace")[1]]
    assert "TL403" in [one.code for one in compile_with_findings(f"{ERASE}method trace {{ refine.prior = 2 }}")[1]]


@pytest.mark.parametrize(("value", "code"), [("-1", "TL213"), ('"x"', "TL212"), ("none", "TL212")])
def test_a_weight_that_is_none_is_refused(value: str, code: str) -> None:
    assert codes(f"method trace {{ refine.prior = {value} }}") == [code]


def test_a_sample_asks_neither_for_order_nor_for_what_else_there_is() -> None:
    words = [f"word{i}" for i in range(500)]
    drawn = sampled(words, 100, 0)
    random.Random(0).shuffle(words)
    assert sampled([*words, "word3"], 100, 0) == drawn == tuple(sorted(drawn)) and len(drawn) == 100
    assert sampled(words, 100, 1) != drawn and sampled(drawn, 100, 0) == drawn
    assert len(set(drawn) - set(sampled([*words, "more"], 100, 0))) <= 1
    assert sampled(["b", "a"], 5, 0) == ("a", "b")


@pytest.mark.parametrize("text", ['preserve prior, "dog"', 'preserve prior except "dog"', "preserve (prior)"])
def test_the_vocabulary_in_a_set_is_told_to_stand_alone(text: str) -> None:
    found = [one for one in compile_with_findings(ERASE + text)[1] if one.code == "TL201"]
    assert [one.help for one in found] == [
        'the vocabulary has a statement to itself: `preserve prior`; quote a text: `"prior"`'
    ]
