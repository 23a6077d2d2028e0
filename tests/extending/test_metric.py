"""A metric is a file in `evidence/metrics` and a row in `semantics.tables.METRICS`; all of the product knows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tracelang
from tests.evidence.edits import RECIPE
from tests.extending.conftest import Add
from tracelang.diagnostics import Source
from tracelang.evidence import metrics
from tracelang.evidence.expectations import hopeless
from tracelang.evidence.schema import Report
from tracelang.plan.explain import explain
from tracelang.plan.load import parsed
from tracelang.semantics.tables import METRICS, Metric

ROW = Metric(
    ">=",
    "pictures",
    "any",
    "score",
    "The judge is as sure of what the pictures of its names show as {limit} {bound}.",
)
FILE = '''
"""How sure the judge is that the pictures of a concept's names show it: its mean probability of that class."""

from __future__ import annotations

from statistics import fmean

from tracelang.evidence.metrics.metric import Figure, Measured, failed, open_, valued
from tracelang.evidence.pictures import Row
from tracelang.evidence.schema import Measure
from tracelang.plan.types import Assertion, Member


def sure(one: Assertion, measured: Measured, member: Member) -> Measure:
    pairs = measured.pairs(Row(member, "names", one.samples, one.seed))
    if why := failed([pair.error for pair in pairs]):
        return open_(member, why)
    chances = [pair.after.chance for pair in pairs if pair.after.chance is not None]
    if len(chances) < len(pairs):
        return open_(member, "no judge gives probabilities of it")
    return valued(one, member, fmean(chances))


MEASURES: dict[str, Figure] = {"sure": sure}
'''


def test_a_metric_is_a_file_and_a_row(
    add: Add, edit: Callable[[str], Path], small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(tracelang.CompileError, match="no metric is called `sure`"):
        tracelang.compile(RECIPE + "expect { sure(cat) >= 0.1 }")
    monkeypatch.setitem(METRICS, "sure", ROW)
    with pytest.raises(ImportError, match=r"names the metric sure, and no file of tracelang\.evidence\.metrics has it"):
        metrics.found()
    add(metrics.__name__, "sure", FILE)
    for name, measure in metrics.found().items():
        monkeypatch.setitem(metrics.MEASURES, name, measure)

    out = edit("expect over 3 samples { sure(cat) >= 0 }")
    plan = tracelang.load_plan(out / "plan.json")
    assert "sure(cat) >= 0" in explain(plan) and not hopeless(plan)
    with pytest.raises(tracelang.CompileError) as mistyped:
        tracelang.compile(RECIPE + "expect { sur(cat) >= 0 }")
    assert mistyped.value.diagnostics[0].help == "did you mean `sure`?"
    report = tracelang.verify(out, samples=0, steps=2)
    (one,) = report.outcomes
    assert one.metric == "sure" and one.verdict == "pass" and one.measures[0].value is not None
    assert Report.model_validate_json((out / "report" / "report.json").read_bytes()) == report
    assert "as sure of what the pictures of its names show as at least 0" in (out / "report/report.html").read_text()


def test_a_file_without_a_row_is_found_when_it_is_imported(add: Add) -> None:
    add(metrics.__name__, "sure", FILE)
    with pytest.raises(ImportError, match="has the metric sure, and the language has no row for it"):
        metrics.found()


def test_a_row_that_is_counted_needs_a_share(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "sure", Metric(">=", "pictures", "any", "share", "{limit} {bound}", counted=True))
    add(metrics.__name__, "sure", FILE)
    with pytest.raises(ImportError, match="names the share sure"):
        metrics.found()


NEW = Metric("<=", "pictures", "erased", "share", "{limit} {bound} under {attack}.", attack="may")
OLD = Metric("<=", "pictures", "erased", "share", "{limit} {bound} under {attack}.", attack="must", control=True)


def recipe(assertion: str, more: str = "") -> str:
    return f'concept cat {{ names "cat" }} erase cat preserve "dog" {more} expect {{ {assertion} <= 20% }}'


def test_a_metric_says_whether_it_takes_an_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "found", NEW)
    monkeypatch.setitem(METRICS, "gone", OLD)
    for text, attack in {"found(cat)": None, "found(cat, p4d)": "p4d", "gone(cat, p4d)": "p4d"}.items():
        plan = tracelang.compile(recipe(text))
        (one,) = plan.expect
        assert (one.concepts, one.attack) == ((("cat",),), attack) and f"{text} <= 20%" in explain(plan)
        assert tracelang.compile(explain(plan)).digest == plan.digest
        assert parsed(Source("<plan>", plan.to_json())) == plan


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        ("gone(cat)", "TL212", "write `gone(cat, ring_a_bell)`"),
        ("found(p4d)", "TL212", 'write `found("…", p4d)`'),
        ("found(p4d, cat)", "TL212", "the kind stands last: `found(cat, p4d)`"),
        ("found(cat, p4b)", "TL207", "did you mean `p4d`?"),
        ("found(cat, bird)", "TL201", ""),
        ("gone(cat, p4d) after round int8", "TL305", "`after` goes with"),
        ("shown(cat, p4d)", "TL201", ""),
    ],
)
def test_what_stands_in_an_attacks_place(text: str, code: str, help: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "found", NEW)
    monkeypatch.setitem(METRICS, "gone", OLD)
    with pytest.raises(tracelang.CompileError) as refused:
        tracelang.compile(recipe(text))
    (finding,) = refused.value.diagnostics
    assert finding.code == code and finding.help.startswith(help)


def test_a_concept_that_is_called_like_an_attack_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "found", NEW)
    concept = 'concept p4d { names "p" } erase p4d'
    with pytest.raises(tracelang.CompileError, match="is an attack and a concept here"):
        tracelang.compile(recipe("found(cat, p4d)", concept))
    (one,) = tracelang.compile(recipe("found(p4d, cat)", concept)).expect
    assert one.concepts == (("cat",), ("p4d",)) and one.attack is None
