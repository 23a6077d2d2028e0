"""Policies of the kinds that new users write, in their languages: lint says nothing about them, and they compile."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.snippets import snippets
from tracelang.diagnostics import Findings, Source
from tracelang.plan.compile import compile
from tracelang.plan.explain import explain
from tracelang.semantics.rules.lint import Lint
from tracelang.syntax.format import format_text

HERE = Path(__file__).parent
POLICIES = snippets(HERE / "policies.txt")
LINT = Lint(HERE, HERE, date(2026, 11, 27))


@pytest.mark.parametrize("text", [pytest.param(text, id=note) for note, text in POLICIES])
def test_nothing_is_said_of_a_policy(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    text = f"tracelang 1\n{text}\n"
    assert [f"{one.code} {one.location} {one.message}" for one in LINT.findings(Source("policy", text))] == []
    plan = compile(text, root=HERE)
    formatted = format_text(Source("policy", text), Findings())
    assert formatted is not None
    assert compile(formatted, root=HERE).digest == plan.digest == compile(explain(plan), root=HERE).digest


def test_there_are_many() -> None:
    assert len(POLICIES) >= 28
