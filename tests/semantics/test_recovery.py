"""A mistake in one statement hides none of another: what parsed is checked, and nothing that only follows is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.recovery import CASCADES, FOUND, Corpus
from tracelang.plan.compile import compile_with_findings


def places(text: str | Path) -> list[str]:
    plan, found = compile_with_findings(text)
    assert plan is None
    return [f"{d.code} {d.location.removeprefix('<recipe>:')}" for d in found if d.severity == "error"]


@pytest.mark.parametrize("seed", range(2))
def test_mistakes_on_several_statements(seed: int) -> None:
    outcome = Corpus(seed).run(100)
    assert outcome.planted.total() > 250
    assert outcome.recall >= FOUND
    assert outcome.cascade_share <= CASCADES


def test_one_error_of_syntax_and_four_of_meaning_are_five() -> None:
    text = (
        'concept nudity kind explcit { names "nudity" }\n'
        'concept other { names "x" "y" }\n'
        "erase nudity degree 140%\n"
        "erase other\n"
        "method trase\n"
        "expect { shown(nudity) >= 5% }\n"
    )
    assert places(text) == ["TL209 1:21", "TL101 2:27", "TL213 3:21", "TL205 5:8", "TL304 6:10"]


@pytest.mark.parametrize(
    ("broken", "use"),
    [
        ('concept c { names "x" "y" }', "erase c expect { shown(c) <= 5% }"),
        ('concpet c { names "x" }', "erase c"),
        ('group c = "x" "y"', "erase c"),
        ('group c "x"', "erase c expect { shown(c) <= 5% }"),
        ("window w = 20% 60%", 'erase "x" method trace { steer.push.during = w }'),
        ("layers l = text in )", 'erase "x" method trace { steer.on = l }'),
        ("define method m { steer { rank 8 } }", 'erase "x" method m { steer.rank = 4 }'),
        ("param p = 60% 0%..100%", 'erase "x" degree param.p'),
        ("templates t = 5", 'concept c { names "x" templates t }\nerase c'),
        ('import "std/anchors.erase" es a', 'erase "x" toward a.person'),
        ('from "std/anchors.erase" import person woman', 'erase "x" toward person erase "y" toward woman'),
        ('erase "x" "y"', 'expect { shown("x") <= 5% shown("y") <= 5% }'),
        ('group g = "x" erase g degree "5"', 'expect { shown("x") <= 5% }'),
        ('erase "x', 'expect { shown("x") <= 5% }'),
        ('concept { names "x" }', "erase c"),
    ],
)
def test_what_leans_on_a_broken_statement_is_no_error(broken: str, use: str) -> None:
    assert [place.split(" ")[1][:2] for place in places(f"{broken}\n{use}\n")] == ["1:"]
    assert places(use + "\n")  # without the statement, it is


def test_a_name_that_nothing_was_to_define_is_an_error_beside_a_broken_statement() -> None:
    assert places('group c = "x" "y"\nerase d') == ["TL101 1:15", "TL201 2:7"]
    assert places('concept { names "x" }\nconcept nudity { names "n" }\nerase nudty') == ["TL101 1:9", "TL201 3:7"]


def test_what_no_statement_can_erase_is_an_error_beside_a_broken_one() -> None:
    assert places('erase "x" "y"\nexpect { shown("z") <= 5% }') == ["TL101 1:11", "TL305 2:10"]
    assert places('erase nope, "y"\nexpect { shown("y") <= 5% shown("z") <= 5% }') == ["TL201 1:7", "TL305 2:27"]


def test_a_broken_file_that_is_included(tmp_path: Path) -> None:
    (tmp_path / "policy.erase").write_text('erase "x" "y"\nerase "z" degree 200%\n')
    top = tmp_path / "top.erase"
    top.write_text('include "policy.erase"\nmethod trase\nexpect { shown("x") <= 5% }\n')
    assert sorted(place.split(" ")[0] for place in places(top)) == ["TL101", "TL205", "TL213"]


@pytest.mark.parametrize("version", ["2", "17", "2.5"])
def test_a_newer_language_is_all_that_is_said(version: str) -> None:
    text = f'tracelang {version}\nerase "cat" using projector\nearse @ "x\n'
    _, found = compile_with_findings(text)
    assert [(d.code, d.location, d.help) for d in found] == [("TL312", "<recipe>:1:11", "use a newer tracelang")]
    assert f"version {version}" in found[0].message


@pytest.mark.parametrize("version", ["01", "1.0", "0", "100%", "-1"])
def test_a_version_is_a_whole_number(version: str) -> None:
    _, found = compile_with_findings(f'tracelang {version}\nerase "cat" preserve "dog"')
    assert [(d.code, d.help) for d in found] == [("TL312", "write `tracelang 1`")]
