"""Another judge on the pictures that a run kept: nothing is drawn, and what it says is what it says of those files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from torch import Tensor

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.cli import main
from tracelang.engine import sampling
from tracelang.evidence import attacks, verify
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.judges import Answer
from tracelang.evidence.labelled import picture
from tracelang.evidence.reproduce import reproduce
from tracelang.evidence.units import drift, noise
from tracelang_micro.judging import Micro

EXPECT = """expect over 4 samples {
  shown(dog) <= 90%  kept(cat) >= 0%  residual(dog) <= 90%
  attack(dog, paraphrase) <= 90%
}"""


class Other(Micro):
    """The world's judge under another name, which takes every second picture for a dog."""

    def __init__(self) -> None:
        super().__init__()
        self.card = self.card.model_copy(update={"name": "other", "digest": "0" * 64})
        self.seen: list[Tensor] = []

    def look(self, images: Tensor) -> Sequence[Answer]:
        self.seen += list(images)
        found = super().look(images)
        for one in found[::2]:
            one.labels["concept"] = ("dog",)  # type: ignore[index]
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path_factory.mktemp("home") / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "DRIFTS", 1)
        patch.setattr(noise, "TRAJECTORIES", 1)
        patch.setattr(attacks, "ATTACKS", {"paraphrase": attacks.ATTACKS["paraphrase"]})
        verify.verify(out, samples=0, steps=2)
    return out


@pytest.fixture
def out(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path / "out")
    return tmp_path / "out"


def never(*asked: Any, **more: Any) -> Any:
    raise AssertionError("something was drawn")


def test_another_judge_looks_at_the_very_pictures_and_nothing_is_drawn(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads((out / "report" / "report.json").read_text())
    (run,) = (one for one in (out / "report" / "work").iterdir() if one.is_dir())
    for name in ("sample", "sample_latents"):
        monkeypatch.setattr(sampling, name, never)
    judge = Other()
    report = verify.verify(out, [judge], kept=True, say=lambda line: None)
    assert report is not None and not report.errors and report.cost.pictures == 0 < first["cost"]["pictures"]
    files = sorted(run.glob("shots-*/*.png"))
    seen = {bytes((image * 255).round().byte().numpy().tobytes()) for image in judge.seen}
    assert files and all((picture(file) * 255).round().byte().numpy().tobytes() in seen for file in files)
    told = {(one.metric, one.attack): one for one in report.outcomes}
    assert told["shown", None].measures[0].rate is not None and told["shown", None].measures[0].rate.hits >= 2
    assert told["attack", "paraphrase"].verdict == "inconclusive"
    (residual,) = (one["measures"][0]["value"] for one in first["outcomes"] if one["metric"] == "residual")
    assert told["residual", None].measures[0].value == residual
    assert any(f"those that run {run.name} kept" in line for line in report.untested)
    again = verify.verify(
        out, kept=True, say=lambda line: None
    )  # the first judge, on what the second one's run kept of the same pictures
    assert again is not None
    drawn = json.loads(again.model_dump_json())["concepts"]
    assert [one["after"] for one in drawn] == [one["after"] for one in first["concepts"]]
    assert verify.merge(out, say=lambda line: None).outcomes == again.outcomes
    with pytest.raises(EvidenceError, match="drew these pictures"):
        reproduce(out, out.parent / "again")


def test_what_was_not_kept_or_was_drawn_otherwise_is_not_judged_again(out: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["verify", str(out), "--kept", "--control", "random", "--steps", "3"])
    assert ran.exit_code == 2 and "--kept draws as the last run did and takes no --control" in ran.output
    fresh = closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path / "fresh")
    with pytest.raises(EvidenceError, match="kept no pictures yet; run: tracec verify"):
        verify.verify(fresh, kept=True)
    verify.verify(out, samples=0, steps=2, keep="shown", say=lambda line: None)
    with pytest.raises(EvidenceError, match="picked by what judges saw"):
        verify.verify(out, kept=True)
