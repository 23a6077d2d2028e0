"""Edits whose answer is known before anyone looks, each measured by `verify` and named for what it is.

Edits are made by one recipe and handed over under another, as somebody does who wants them to look better than they
are. Five sampler steps are enough for the embedded model to be recognised; `python -m tests.benchmarks.known_answers`
asks the same of twenty, with the twins that were trained without the concept.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import tracelang
from tests.evidence.edits import RECIPE, closed_form, expecting, nothing, ruin
from tests.evidence.known_answers import COLLAPSED, NEIGHBOURS, WORDING
from tracelang.evidence import verify
from tracelang.evidence.schema import Outcome, Probed, Report

pytestmark = pytest.mark.slow
GONE = "expect over 12 samples { shown(dog) <= 35% }"


def measured(out: Path, controls: tuple[Path, ...] = ()) -> Report:
    asked = [("never", tuple(map(str, controls))), ("random", ())] if controls else []
    report = verify.verify(out, samples=0, steps=5, controls=asked, say=lambda line: None)
    assert report is not None and not report.errors
    return report


def made(recipe: str, out: Path, expect: str = GONE) -> Path:
    """The edit of one recipe, under the plain one."""
    return expecting(closed_form(tracelang.compile(recipe), out), expect)


def outcome(report: Report, metric: str) -> Outcome:
    return next(one for one in report.outcomes if one.metric == metric)


def names(report: Report) -> Probed:
    assert report.controls is not None
    return next(one for one in report.controls.probes if one.how == "names")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three models that draw no dog whatever it is called, and are alike in nothing else that is asked: made of the
    base, so that they stand in for models that were trained without dogs.
    """
    home = tmp_path_factory.mktemp("twins")
    wide = RECIPE.replace('names "dog" probes "canine"', 'names "dog", "canine", "pooch", "hound"')
    anchors = ("tree", "house", "bicycle")
    return tuple(
        closed_form(tracelang.compile(wide.replace("toward cat", f'toward "{anchor}"')), home / anchor)
        for anchor in anchors
    )


def test_no_edit_is_residue_beside_models_that_never_knew(twins: tuple[Path, ...], tmp_path: Path) -> None:
    out = nothing(tracelang.compile(RECIPE + "expect over 20 samples { shown(dog) <= 35% }"), tmp_path / "out")
    report = measured(out, tuple(twin / "model" for twin in twins))
    found = names(report)
    assert report.verdict == "fail" and (found.valid, found.powered, found.verdict) == (True, True, "residue shown")
    assert found.base == found.edited and found.share == (1, 1, 1)


def test_a_twin_in_the_place_of_the_edit_has_none_by_this_probe(twins: tuple[Path, ...]) -> None:
    out = expecting(twins[0], "expect over 50 samples { shown(dog) <= 35% }")
    found = names(measured(out, tuple(twin / "model" for twin in twins[1:])))
    assert found.targets == 50 and found.valid and found.powered and found.verdict == "none by this probe", found


def test_an_edit_that_blocks_the_usual_word_alone_is_found_by_others(tmp_path: Path) -> None:
    out = made(WORDING, tmp_path / "out", "expect over 16 samples { shown(dog) <= 40% probed(dog) <= 40% }")
    report = measured(out)
    assert outcome(report, "shown").verdict == "pass"
    assert outcome(report, "probed").verdict == report.verdict == "fail"


def test_an_edit_that_destroys_pictures_does_not_pass(whole_panel: None, tmp_path: Path) -> None:
    plan = tracelang.compile(RECIPE + "expect over 12 samples { shown(dog) <= 35% subject(dog) >= 60% }")
    report = measured(ruin(plan, tmp_path / "out"))
    assert outcome(report, "shown").verdict == "pass"
    assert outcome(report, "subject").verdict == report.verdict == "fail"
    assert report.integrity is not None and report.integrity.verdict == "fail"
    assert report.integrity.kept is not None and report.integrity.kept.hits == 0


@pytest.mark.parametrize("recipe", [COLLAPSED, NEIGHBOURS])
def test_an_edit_that_draws_one_thing_or_loses_what_lies_near_does_not_pass(
    recipe: str, whole_panel: None, tmp_path: Path
) -> None:
    report = measured(made(recipe, tmp_path / "out"))
    assert outcome(report, "shown").verdict == "pass" and report.verdict == "fail"
    assert report.integrity is not None and report.integrity.verdict == "fail", report.integrity
