"""The rows of the table of TRACE: every one is a recipe of each thing and style, and says what its name says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import tracelang
from tests.benchmarks import trace
from tests.benchmarks.variants import ROWS
from tracelang.evidence.bench import Presence
from tracelang.plan.types import Plan
from tracelang_micro import table


def compiled(row: str, name: str = "cat") -> Plan:
    return tracelang.compile(trace.source(trace.KNOWN[name], ROWS[row]))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_erases_a_thing_and_a_style(row: str) -> None:
    for name in ("cat", "blueprint"):
        plan = compiled(row, name)
        assert table.erased(plan) is trace.KNOWN[name] and plan.preserve


def test_a_part_that_is_switched_off_is_off() -> None:
    def kinds(row: str) -> Sequence[str]:
        return [step.kind for step in compiled(row).method.passes]

    assert kinds("trace") == ["steer", "refine"] and kinds("closed form first") == ["refine", "steer"]
    assert kinds("without closed form") == ["steer"]
    assert compiled("trace").prior and not compiled("without prior").prior
    terms = {row: [term.kind for term in compiled(row).method.passes[0].terms] for row in ROWS if "closed" not in row}
    assert "hold" in terms["trace"] and "hold" not in terms["without hold"]
    assert terms["trace"] == terms["trace_robust"] and "hold" not in terms["without window"]


def test_what_a_recipe_names_and_what_it_does_not_are_counted_apart() -> None:
    target = table.BY_NAME["cat"]
    asked = table.ask(target, 10, 2, 10, seed=0, probes=4)
    base = table.outcome(asked, [Presence(shows=True, subject=True)] * len(asked))
    lost = {"dog", "key", "santa"}  # of the group, of the everyday things, of neither
    after = table.outcome(
        asked,
        [Presence(shows=q.row[0] not in ("erased", "probe") and q.row[1] not in lost, subject=True) for q in asked],
    )
    found = trace.spared(target, base, after)
    assert found["shown"] == [0, 10] and found["synonyms"] == [0, 4 * len(target.synonyms)]
    assert found["named"][0] == -4 and found["unnamed"][0] == -2 and found["unnamed_worst"] == ("santa", -1.0)
    assert found["styles"] == found["grounds"] == 0
    assert "santa" in trace.render({"trace": {"cat": {**found, "attacks": {}, "seconds": 1.0}}})
