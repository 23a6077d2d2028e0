"""The digest is of the meaning: what does not change the meaning does not change it, and what does, does."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.snippets import snippets
from tracelang.diagnostics import Findings, Source
from tracelang.plan.compile import compile
from tracelang.plan.explain import explain, percent
from tracelang.plan.load import parsed
from tracelang.plan.types import Plan
from tracelang.semantics.numbers import worth
from tracelang.syntax import lexer, table
from tracelang.syntax.tree import Number

HERE = Path(__file__).parent
GOLDEN = sorted((HERE / "golden").glob("*.erase"))
RECIPES = sorted((HERE.parents[1] / "recipes").glob("*.erase"))
SNIPPETS = [text for _, text in snippets(HERE / "good.txt")]
EVERYTHING = (HERE / "golden" / "everything.erase").read_text("utf-8")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    plan = compile(path, root=path.parent)
    assert plan.to_json() == path.with_suffix(".plan.json").read_text("utf-8")
    assert parsed(Source("<plan>", plan.to_json())) == plan


@pytest.mark.parametrize("path", [*RECIPES, *GOLDEN], ids=lambda path: path.stem)
def test_explained_recipes_mean_the_same(path: Path) -> None:
    explained(compile(path))


@pytest.mark.parametrize("text", SNIPPETS)
def test_explained_snippets_mean_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE.parents[1] / "recipes")
    explained(compile(text))


def explained(plan: Plan) -> None:
    text = explain(plan)
    again = compile(text)
    assert again.canonical_json() == plan.canonical_json()
    assert again.digest == plan.digest
    assert explain(again) == text


def respaced(text: str, seed: int) -> str:
    """The same tokens with other space and comments between them."""
    chance = random.Random(seed)
    lexed = lexer.lex(Source("x", text), table.load(), lexer.pattern(table.load()), Findings())
    gaps = [" ", "\n", "\t \r\n", ' # a comment { "\n', "\n\n  # one\n# two\n"]
    return "".join(chance.choice(gaps) + token.text for token in lexed.tokens)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_formatting_and_comments_do_not_change_it(seed: int) -> None:
    assert compile(respaced(EVERYTHING, seed)).digest == compile(EVERYTHING).digest


def test_a_later_setting_is_stated_where_it_says_something_and_older_plans_are_read() -> None:
    plain, again, other = (
        compile(f'erase "x" {method}')
        for method in ("", "method trace { steer.adversary = none }", "method trace { steer.adversary = states }")
    )
    assert "adversary" not in plain.to_json() and plain.digest == again.digest != other.digest
    assert parsed(Source("<plan>", plain.to_json())) == plain
    steer = next(step for step in parsed(Source("<plan>", other.to_json())).method.passes if step.kind == "steer")
    assert steer.adversary == ("states",)


def test_the_order_of_statements_does_not_change_it() -> None:
    lines = EVERYTHING.splitlines()
    for seed in range(20):
        body = lines[1:]
        random.Random(seed).shuffle(body)
        assert compile("\n".join([lines[0], *body])).digest == compile(EVERYTHING).digest


CHANGES = [
    ('"everything"', '"other"'),
    ('version = "1"', 'version = "2"'),
    ("60%", "61%"),
    ('"nude"', '"nudes"'),
    ('"bare"', '"barely"'),
    ("kind explicit", "kind object"),
    ('"a photo of {}"', '"photo of {}"'),
    ("toward clothed", ""),
    ("away", ""),
    ("weight 0.5", "weight 0.6"),
    ("-3..2", "-3..2.5"),
    ("logsnr -3..2", "sigma 0.1..2"),
    ("(mid, up)", "(mid)"),
    ("*.to_q", "*.to_k"),
    ("method trace", "method trace2"),
    ("= 0.5", "= 0.25"),
    ("200 samples", "201 samples"),
    ("seed 3", "seed 4"),
    ("p4d", "ring_a_bell"),
    (">= 90%", ">= 91%"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_every_change_of_meaning_changes_it(old: str, new: str) -> None:
    assert old in EVERYTHING
    changed = "define method trace2 = trace\n" if new == "method trace2" else ""
    text = EVERYTHING.replace(old, new).replace("tracelang 1", f"tracelang 1\n{changed}")
    assert compile(text).digest != compile(EVERYTHING).digest


def test_a_list_means_its_texts(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("# animals\ncat\n")
    (tmp_path / "r.erase").write_text('erase list "l.txt"')
    assert compile(tmp_path / "r.erase").digest == compile('erase "cat"').digest


def test_the_same_sources_give_the_same_bytes() -> None:
    assert compile(EVERYTHING).to_json() == compile(EVERYTHING).to_json()
    assert json.loads(compile(EVERYTHING).to_json())["digest"] == compile(EVERYTHING).digest


ATOMS = st.sampled_from(["key", "value", "text", "prompt", '"*.to_k"', "pooled"])
LAYERS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({', '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3, unique=True).map(lambda parts: f"({' - '.join(parts)})"),
        inner.map(lambda part: f"(({part}) in (mid, up))"),
    ),
    max_leaves=8,
)
NUMBERS = st.floats(1e-30, 1e30).map(repr)


@settings(max_examples=60, deadline=None)
@given(LAYERS, NUMBERS, st.floats(0, 1), st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2, unique=True))
def test_explained_values_mean_the_same(sites: str, weight: str, degree: float, ends: list[float]) -> None:
    low, high = sorted(ends)
    text = f"""
    erase "x" degree {percent(degree)}
    preserve "y" weight {weight}
    method trace {{ steer.on = ({sites}) steer.push.during = logsnr {low!r}..{high!r} refine.ridge = {weight} }}
    """
    explained(compile(text))


def test_a_copy_with_changes_has_a_digest_of_its_own() -> None:
    plan = compile('erase "cat"')
    assert plan.digest and plan.concept("cat")
    copied = plan.model_copy(update={"erase": ()})
    assert copied.digest != plan.digest
    assert copied.model_copy(update={"erase": plan.erase}).digest == plan.digest


@given(st.floats(0, 1))
def test_percent_is_exact(share: float) -> None:
    assert worth(Number(percent(share)[:-1], True, span=None)) == share  # type: ignore[arg-type]


EDIT = """
templates photo = "a photo of a {}"
concept feline { names "cat", "kitty" probes "purring pet" templates photo }
erase feline toward "dog"
concept ship { names "ship" }
preserve ship, "kite"
method esd { steer.steps = 7 }
expect over 2 samples { shown(feline) <= 5% }
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("EDIT", 'recipe "called otherwise" { owner = "us" }'),
        ('probes "purring pet" ', 'probes "mouser" '),
        ("<= 5%", "<= 50%"),
        ("over 2", "over 3"),
        ("{ shown(feline)", "{ kept(ship) >= 1%  shown(feline)"),
    ],
)
def test_what_is_asked_of_an_edit_is_no_part_of_it(old: str, new: str) -> None:
    one, other = compile(EDIT), compile(new + EDIT if old == "EDIT" else EDIT.replace(old, new))
    assert one.digest != other.digest and one.edit_digest == other.edit_digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a photo of", "a picture of"),
        ('"cat", "kitty"', '"cat"'),
        ('"cat", "kitty"', '"kitty", "cat"'),
        ('toward "dog"', 'toward "horse"'),
        ('toward "dog"', ""),
        ('"kite"', '"kite", "boat"'),
        ('"kite"', '"kite" weight 2'),
        ('"kite"', '"kite"\npreserve prior "a", "b"'),
        ('toward "dog"', 'toward "dog" degree 50%'),
        ("= 7", "= 8"),
        ("steps = 7", "steps = 7  steer.seed = 4"),
        ("method esd", "method esd_u"),
    ],
)
def test_what_decides_an_edit_is_part_of_it(old: str, new: str) -> None:
    assert old in EDIT
    assert compile(EDIT).edit_digest != compile(EDIT.replace(old, new)).edit_digest
