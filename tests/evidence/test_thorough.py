"""Everything that takes longer, at its smallest: `--thorough` trainings, an adapter of others, controls that are
folders, and all of it drawn again.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.cli import main
from tracelang.evidence.schema import Report
from tracelang.evidence.units import control, noise, relearn
from tracelang_micro import micro_sd
from tracelang_micro.world import diffusion

pytestmark = pytest.mark.slow
EXPECT = """expect over 2 samples {
  relearn(dog) >= 80%
  kept(cat) after adapter 50% >= 1%
  attack(dog, paraphrase) after adapter 100% <= 99%
  attack(dog, mma) after round int8 <= 99%
  excess(dog) <= 10%
}"""
LEAST = "rows=1,iterations=1,views=1,tries=1,latents=4,fixes=1,candidates=2,length=2,tuning=1"


def run(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(main, words)
    return ran.exit_code, ran.stdout + ran.stderr


def test_the_longest_run_is_measured_told_and_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relearn, "MORE_SEEDS", 1)
    few = tuple(replace(one, pictures=min(one.pictures, 3)) for one in relearn.FURTHER)
    monkeypatch.setattr(relearn, "FURTHER", few)
    monkeypatch.setattr(control, "ENOUGH", 2)
    monkeypatch.setattr(noise.NoiseUnit, "wanted", lambda wanted: ())
    twin = tmp_path / "twin"
    shutil.copytree(micro_sd(), twin)
    diffusion.make_unet(seed=2).half().save_pretrained(twin / "unet", safe_serialization=True)
    out = closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path / "out")
    beside = ["--control", f"never={twin}"]
    asked = [
        "--samples",
        "0",
        "--steps",
        "5",
        "--device",
        "cpu",
        "--thorough",
        "--budget",
        LEAST,
        "--control",
        "random",
    ]
    code, said = run("verify", str(out), *asked, *beside)
    assert code in (1, 3), said
    report = Report.model_validate_json((out / "report" / "report.json").read_text())
    assert not report.errors
    courses = {(one.data, one.pictures, one.tuning): one for one in report.relearning}
    assert courses.keys() == {(one.data, one.pictures, one.tuning) for one in (relearn.USUAL, *few)}
    for one in courses.values():
        assert {curve.model for curve in one.curves} == {"base", "edited", "never-1"}, one
    changed = {str(one.after and one.after.how): one for one in report.outcomes if one.after}
    assert changed.keys() == {"adapter", "round"} and all(one.rate and one.rate.n for one in changed.values())
    assert report.controls is not None and {one.how for one in report.controls.probes} == {"names"}
    units = sum(file.name != "run.json" for file in (out / "report" / "work").glob("*/*.json"))
    code, said = run("reproduce", str(out), "--share", "10%", *beside)
    assert code == 0 and f"of {units} units drawn again" in said and "not as then" not in said, said
    code, said = run("reproduce", str(out))
    assert code == 2 and "give what the run was given" in said and said.count("\n") == 1, said
