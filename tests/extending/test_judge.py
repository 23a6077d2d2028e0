"""A judge is a package of somebody's own, found by its entry point: nothing in tracelang changes."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.cli import main
from tracelang.evidence.schema import Report

JUDGE = Path(__file__).parents[2] / "examples" / "judge"
NIGHT = """
concept night { names "night" templates object }
expect over 2 samples { accuracy(night) >= 0% shown(dog) <= 99% }
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example is installed, as its `pyproject.toml` says."""
    points = tomllib.loads((JUDGE / "pyproject.toml").read_text())["project"]["entry-points"]["tracelang.judges"]
    info = tmp_path / "site" / "twilight_judge-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twilight-judge\nVersion: 1.0\n")
    lines = "".join(f"{name} = {at}\n" for name, at in points.items())
    (info / "entry_points.txt").write_text(f"[tracelang.judges]\n{lines}")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(JUDGE), *sys.path])


def test_a_judge_is_a_package(installed: None, edit: Callable[[str], Path], small: None, tmp_path: Path) -> None:
    out = closed_form(tracelang.compile(RECIPE + NIGHT), tmp_path / "out")
    words = ["verify", str(out), "--judge", "twilight=0.3", "--samples", "0", "--steps", "2", "--device", "cpu"]
    ran = CliRunner().invoke(main, words)
    report = Report.model_validate_json((out / "report" / "report.json").read_bytes())
    (card,) = report.judges
    assert (card.name, card.threshold, card.setting) == ("twilight", 0.3, "0.3")
    assert card.code.startswith("twilight-judge 1.0, Twilight, source sha256:") and card.pictures > 0
    night, dog = sorted(report.outcomes, key=lambda one: one.metric)
    assert night.measures[0].rate is not None and night.measures[0].rate.n == 2  # it knows this class
    assert dog.verdict == "inconclusive" and "no judge has a class for 'dog'" in dog.reason  # and not that one
    assert ran.exit_code == 3, ran.output
    assert "twilight" in (out / "report/report.html").read_text()
