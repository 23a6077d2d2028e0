"""Shards: done anywhere, merged into the very report that one run gives; a shard of another run is never taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.cli import main
from tracelang.evidence import attacks, verify
from tracelang.evidence.schema import Report
from tracelang.evidence.units import everyday, shots
from tracelang.evidence.work import WorkError

EXPECT = "expect over 8 samples { shown(dog) <= 99% accuracy(cat) >= 0% attack(dog, paraphrase) <= 99% }"
FAST: dict[str, Any] = {"samples": 0, "steps": 2}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path_factory.mktemp("fresh") / "out")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of 4 pictures, so that few pictures make many units; one attack, which takes no search."""

    def words(target: Any, model: Any, budget: Any) -> Any:
        return attacks.Found(("a drawing of a dog",) * target.count, None, {"tries": 1}, None, ())

    monkeypatch.setattr(shots, "SHOTS", 4)
    monkeypatch.setattr(everyday, "COUNT", everyday.LEAST)
    monkeypatch.setattr(attacks, "ATTACKS", {"paraphrase": attacks.Attack("black box", words)})


@pytest.fixture(scope="module")
def done(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The edit, verified in one run."""
    out = at(fresh, tmp_path_factory.mktemp("done"))
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        verify.verify(out, **FAST)
    return out


def at(fresh: Path, folder: Path) -> Path:
    shutil.copytree(fresh, folder / "out")
    return folder / "out"


def same(report: Report) -> dict[str, Any]:
    """All of a report but its cost, times and dates."""
    data = report.model_dump(exclude={"cost", "registered"})
    for attack in data["attacks"]:
        attack.pop("seconds")
    return data


def test_two_shards_merged_equal_one_run(fresh: Path, done: Path, tmp_path: Path) -> None:
    whole = Report.model_validate_json((done / "report" / "report.json").read_bytes())
    first, second = (at(fresh, tmp_path / str(i)) for i in (1, 2))
    assert verify.verify(first, shard=(1, 2), **FAST) is None
    assert not (first / "report" / "report.json").exists()
    with pytest.raises(WorkError, match="4 of 8 units are missing: rounding, shots-0001"):
        verify.merge(first)
    assert verify.verify(second, shard=(2, 2), **FAST) is None
    merged = verify.merge(first, [second / "report" / "work"])
    assert same(merged) == same(whole)
    pictures = sorted((done / "report" / "work").rglob("*.png"))
    assert pictures
    for picture in pictures:
        path = picture.relative_to(done)
        assert (first / path).read_bytes() == picture.read_bytes()


def test_whoever_composes_it_the_report_is_the_same_bytes(done: Path, tmp_path: Path) -> None:
    """Whatever kinds its units are of: composed once more in place, and of units that were carried elsewhere and
    written there with their fields in another order.
    """
    out, away = at(done, tmp_path / "here"), tmp_path / "away"
    forms = {name: (out / name).read_bytes() for name in ("report/report.json", "report/report.html", "README.md")}
    verify.merge(out)
    assert {name: (out / name).read_bytes() for name in forms} == forms
    (work,) = (out / "report" / "work").glob("*/")
    shutil.move(work, away)
    kinds = set()
    for file in sorted(away.glob("*.json"), reverse=True):
        record = json.loads(file.read_bytes())
        kinds.add(record.get("kind"))
        file.write_text(json.dumps(dict(reversed(record.items())), indent=2))
    verify.merge(out, [away])
    assert {name: (out / name).read_bytes() for name in forms} == forms
    assert kinds >= {"certificate", "shots", "attack", "everyday"}


def test_shards_in_one_folder_need_no_paths(fresh: Path, tmp_path: Path) -> None:
    out = at(fresh, tmp_path)
    words = [str(out), "--samples", "0", "--steps", "2", "--device", "cpu"]
    for shard in ("1/2", "2/2"):
        ran = CliRunner().invoke(main, ["verify", *words, "--shard", shard])
        assert ran.exit_code == 0 and f"shard {shard} is done" in ran.output
    ran = CliRunner().invoke(main, ["merge", str(out), "--json"])
    assert ran.exit_code == 3  # bounds that the base model meets as well
    assert json.loads(ran.stdout)["verdict"] == "inconclusive"
    ran = CliRunner().invoke(main, ["merge", str(out), "--against", str(out)])
    assert ran.exit_code == 3 and " 0 of " in ran.output and "can be told apart" in ran.output
    assert Report.model_validate_json((out / "report" / "report.json").read_bytes()).comparison is not None


def test_a_shard_of_another_run_is_refused(fresh: Path, tmp_path: Path) -> None:
    first, second = (at(fresh, tmp_path / str(i)) for i in (1, 2))
    for out, steps in ((first, 2), (second, 3)):
        verify.verify(out, shard=(1, 99), samples=0, steps=steps)  # no picture
    with pytest.raises(WorkError, match=r"of another run than .* \(sampler differ"):
        verify.merge(first, [second])
    ran = CliRunner().invoke(main, ["merge", str(first), str(second)])
    assert ran.exit_code == 2 and "of another run" in ran.output


def test_a_file_that_is_no_unit_is_named(done: Path, tmp_path: Path) -> None:
    out = at(done, tmp_path)
    (work,) = (out / "report" / "work").glob("*/")
    shutil.copy(work / "shots-0000.json", work / "shots-9999.json")
    with pytest.raises(WorkError, match=r"shots-9999\.json: is no unit of this run"):
        verify.merge(out)
    (work / "shots-9999.json").unlink()
    (work / "shots-0000.json").write_text("{")
    with pytest.raises(WorkError, match=r"shots-0000\.json: is no unit of this run"):
        verify.merge(out)


def test_a_picture_that_somebody_writes_to_meanwhile_is_refused(
    fresh: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = at(fresh, tmp_path), at(done, tmp_path / "other")
    real = shutil.copyfile

    def copied(source: Path, target: Path) -> Path:
        Path(source).write_bytes(Path(source).read_bytes() + b"?")
        return Path(real(source, target))

    with monkeypatch.context() as patch, pytest.raises(WorkError, match="png: was written to since"):
        patch.setattr(shutil, "copyfile", copied)
        verify.merge(out, [other])
    assert not (out / "report" / "report.json").exists()
    shutil.rmtree(tmp_path / "other")
    shutil.copytree(done, tmp_path / "other" / "out")
    assert verify.merge(out, [other]).pictures  # and nothing of it is in the way


def test_a_verification_of_another_edit_is_refused(fresh: Path, tmp_path: Path) -> None:
    out = at(fresh, tmp_path)
    verify.verify(out, shard=(1, 99), **FAST)
    other = closed_form(tracelang.compile(RECIPE + EXPECT.replace("dog) <= 99%", "dog) <= 98%")), tmp_path / "other")
    ran = CliRunner().invoke(main, ["merge", str(other), str(out)])
    assert ran.exit_code == 2 and "another edit" in ran.output


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_a_usage_error(fresh: Path, shard: str) -> None:
    ran = CliRunner().invoke(main, ["verify", str(fresh), "--shard", shard])
    assert ran.exit_code == 2 and "1/2" in ran.output


def test_nothing_verified_yet(fresh: Path) -> None:
    ran = CliRunner().invoke(main, ["merge", str(fresh)])
    assert ran.exit_code == 2 and "nothing was verified yet" in ran.output
