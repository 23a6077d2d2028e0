"""The test of the window: its arms differ in their windows alone, and its rule says what it was fixed to say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks import window
from tracelang.semantics.values import Auto, Window
from tracelang_micro import table

Counts = dict[str, tuple[int, int]]


@pytest.mark.parametrize("concept", window.CONCEPTS)
def test_arms_differ_in_their_windows_alone(concept: str) -> None:
    whole = window.plan(concept)
    found = {name: window.arm(whole, name, 2).method.passes[0] for name in ("none", "late", "auto")}
    windows = {name: {term.kind: term.during for term in step.terms} for name, step in found.items()}
    assert windows["none"].keys() == {"push", "blank", "keep"} and windows["none"]["push"] == Window("progress", 0, 1)
    assert windows["late"]["push"] == Window("progress", 0.2, 1) and windows["late"]["hold"] == Window(
        "progress", 0, 0.2
    )
    assert windows["auto"]["push"] == Auto(0.3) and windows["auto"]["hold"] == Auto(0.3, "before")
    assert len({replace(step, terms=()) for step in found.values()}) == 1 and found["late"].seed == 2
    target = table.erased(whole)
    asked = window.asked(target, 0)
    rows = {question.row for question in asked}
    unnamed = [
        name for group, name in rows if group == "kept" and name not in {t.name for t in table.neighbours(target)}
    ]
    assert len(unnamed) >= 20 and sum(question.row == ("kept", unnamed[0]) for question in asked) == window.UNNAMED
    other = window.asked(target, 1)
    assert {question.sample.seed for question in asked}.isdisjoint(question.sample.seed for question in other)


@pytest.mark.parametrize(
    ("named", "unnamed", "keeps", "words"),
    [
        (0, 16, True, "keeps more at equal erasure: the default has it"),
        (0, 0, False, "not shown to keep more: the default drops it"),
        (3, 16, False, "erasure is not shown to be equal (named)"),
    ],
)
def test_the_rule(named: int, unnamed: int, keeps: bool, words: str) -> None:
    def row(more: bool, wobble: int) -> Counts:  # a wobble of -1 or 1, 0 in the arm that is compared with
        return {
            "named": (named * more, 100),
            "synonyms": (0, 80),
            "unnamed": (760 + unnamed * more + 2 * wobble, 800),
            "preserved": (100, 100),
        }

    rows = {
        f"{concept} {seed}": {"none": row(False, 0), "late": row(True, 2 * (seed % 2) - 1)}
        for concept in window.CONCEPTS
        for seed in window.SEEDS
    }
    decided, why = window.verdict(rows)
    assert decided is keeps and words in why
    mean, low, high = window.difference(rows, "unnamed", "late", "none")
    assert low < mean < high and mean == pytest.approx(100 * unnamed / 800)
