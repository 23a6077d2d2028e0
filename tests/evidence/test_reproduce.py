"""A verification drawn again agrees bit for bit where it was drawn; what was not drawn so, or elsewhere, is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.cli import main
from tracelang.evidence import machine, reproduce
from tracelang.evidence.schema import JudgeCard
from tracelang.evidence.units import everyday
from tracelang.evidence.work import _sealed, _text
from tracelang.models.weights import sha256

EXPECT = "expect over 2 samples { shown(dog) <= 80% residual(dog) <= 80% }"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path_factory.mktemp("done") / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everyday, "COUNT", everyday.LEAST)
        ran = CliRunner().invoke(main, ["verify", str(out), "--samples", "0", "--steps", "2", "--device", "cpu"])
    assert ran.exit_code in (0, 1, 3), ran.output
    return out


@pytest.fixture
def out(done: Path, tmp_path: Path) -> Path:
    shutil.copytree(done, tmp_path / "out")
    return tmp_path / "out"


def run(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(main, ["reproduce", *words])
    return ran.exit_code, ran.stdout + ran.stderr


def work(out: Path) -> Path:
    (folder,) = (out / "report" / "work").glob("*/")
    return folder


def tampered(out: Path, key: str, old: str, new: str) -> None:
    """A record changed by somebody who computes its digest anew."""
    file = work(out) / f"{key}.json"
    text = file.read_text()
    assert old in text
    record = json.loads(text.replace(old, new, 1))
    for name in record["digests"]:
        record["digests"][name] = sha256(work(out) / name)
    file.write_text(_text({**record, "sha256": _sealed(record)}))


def test_what_was_drawn_is_drawn_again_bit_for_bit_and_what_was_not_is_named(out: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    into = str(tmp_path / "again")
    code, told = run(str(out), "--into", into)
    assert code == 0 and "0 values or pictures differ" in told and "not as then" not in told, told
    units = [file.stem for file in work(out).glob("*.json") if file.name != "run.json"]
    assert f"{len(units)} of {len(units)} units drawn again" in told
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    picture = next(work(out).rglob("*.png"))
    image = Image.open(picture).convert("RGB")
    image.putpixel((0, 0), tuple(255 - value for value in image.getpixel((0, 0))))  # type: ignore[arg-type,union-attr]
    image.save(picture)
    tampered(out, picture.parent.name, '"subject": true', '"subject": false')
    code, told = run(str(out), "--into", into)  # nothing is drawn a second time
    assert code == 1 and f"{picture.parent.name}: {picture.relative_to(work(out)).as_posix()}: " in told
    assert ".subject: False then, True now (1)" in told and "2 values or pictures differ" in told


def test_a_share_of_the_units_is_picked_by_the_seed() -> None:
    units = list(range(100))
    picked = [reproduce._chosen(units, 0.05, seed) for seed in (0, 0, 1)]  # type: ignore[arg-type]
    assert picked[0] == picked[1] != picked[2] and len(picked[0]) == 5 == len(set(picked[0]))
    assert reproduce._chosen(units, 1.0, 0) == units and len(reproduce._chosen(units, 1e-9, 0)) == 1  # type: ignore[arg-type]
    for bad in ("0%", "101%", "x", "nan"):
        assert run("out", "--share", bad)[0] == 2


def test_what_is_not_as_then_is_told(out: Path, tmp_path: Path) -> None:
    file = work(out) / "run.json"
    facts = json.loads(file.read_text())
    (here,) = facts["machines"]
    there = {
        **here,
        "threads": 64,
        "flags": [*here["flags"], "avx1024"],
        "packages": {**here["packages"], "torch": "0.1"},
    }
    file.write_text(_text({**facts, "machines": [there]}))
    code, told = run(str(out), "--share", "1%", "--into", str(tmp_path / "again"))
    assert code == 0 and "not as then: threads: 64 there, " in told
    assert (
        "not as then: processor flags there alone: avx1024" in told and "not as then: package torch: 0.1 there" in told
    )
    code, told = run(str(out), "--judge", "micro=x")
    assert code == 2 and told.startswith("error: ") and told.count("\n") == 1
    (out / "report" / "report.json").unlink()
    code, told = run(str(out))
    assert code == 2 and "has no report; run: tracec verify" in told and told.count("\n") == 1


def test_values_are_compared_each_and_by_how_much() -> None:
    there = {"a": [1.0, 2.0], "b": {"c": "dog"}, "seconds": 1, "d": None, "e": True}
    here = {"a": [1.0, 2.5], "b": {"c": "cat"}, "seconds": 2, "f": 1, "e": 1}
    found = list(reproduce._values(reproduce._said(there), reproduce._said(here), ""))
    apart = {one.where: one.far for one in found if one is not None}
    assert apart == {"a.1": 0.2, "b.c": 1.0, "e": 1.0, "f": 1.0} and len(found) == 6


def test_a_judge_of_a_folder_is_asked_for_and_others_are_known() -> None:
    assert reproduce._again(JudgeCard(name="opennsfw", digest="", classes=(), setting="0.6")) == "opennsfw=0.6"
    with pytest.raises(reproduce.EvidenceError, match=r"give it with --judge faces=PLACE"):
        reproduce._again(JudgeCard(name="faces", digest="", classes=(), setting="files sha256:0"))
    assert reproduce._budget({"rows": "7", "eta": "0.5", "rate": "None"}) == reproduce.Budget(rows=7, eta=0.5)


def test_controls_are_asked_for_in_the_order_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    folder = str(tmp_path / "twin")
    then = {"never-1": ("twin", "0"), "never-2": ("owner/name", "1"), "random": ("drawn anew", "2")}
    named, drawn = ("never", ("owner/name",)), ("random", ())
    given = ("never", (folder,))
    assert [*reproduce._controls(then, [given])] == [("never", (folder,)), named, drawn, given]
    assert [*reproduce._controls(then, [])] == [named, drawn]  # a folder is known by whoever has it


def test_the_machine_is_known() -> None:
    here = machine.machine()
    assert here["capability"] and here["threads"] >= 1 and here["packages"]["torch"]
    assert here["cpu"] and (not os.path.exists("/proc/cpuinfo") or here["flags"])
    assert machine.differing(here, here) == [] and json.loads(json.dumps(here)) == here


def refused(words: list[str]) -> str:
    """What a command says that gives up: one line."""
    ran = CliRunner().invoke(main, words)
    said = ran.stdout + ran.stderr
    assert ran.exit_code == 2 and "Traceback" not in said and said.count("\n") == 1, said
    return said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"pictures": ', '"pictures": "x", "was": '),
        ('"rows": [', '"rows": [5, '),
        ('"digests": {', '"digests": 5, "d": {'),
    ],
)
def test_a_unit_that_no_version_writes_is_one_line_whoever_sealed_it(old: str, new: str, out: Path) -> None:
    file = work(out) / "everyday.json"
    record = json.loads(file.read_text().replace(old, new, 1))
    file.write_text(_text({**record, "sha256": _sealed(record)}))
    assert "verify again" in refused(["merge", str(out)])


def test_pictures_outside_of_a_shard_are_neither_read_nor_copied(out: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(out, other)
    secret = tmp_path / "secret.png"
    shutil.copy(next((work(other) / "everyday").iterdir()), secret)
    file = work(other) / "everyday.json"
    record = json.loads(file.read_text())
    name = next(iter(record["digests"]))
    (work(other) / "everyday" / "more.png").symlink_to(secret)
    shutil.rmtree(out / "report")
    ran = CliRunner().invoke(main, ["merge", str(out), str(other)])
    assert ran.exit_code in (0, 1, 3), ran.output
    assert {one.name for one in (work(out) / "everyday").iterdir()} == {Path(one).name for one in record["digests"]}
    (work(other) / name).unlink()
    (work(other) / name).symlink_to(secret)
    assert "outside of its folder" in refused(["merge", str(out), str(other)])
    text = file.read_text().replace(name, "../../../../secret.png")
    file.write_text(_text({**json.loads(text), "sha256": _sealed(json.loads(text))}))
    assert "outside of its folder" in refused(["merge", str(out), str(other)])


def test_a_run_that_says_nonsense_is_one_line(out: Path) -> None:
    told = json.loads((work(out) / "run.json").read_text())
    for changed in ({"facts": []}, {"facts": {}}, {"begun": 5}, {"machines": [5]}):
        (work(out) / "run.json").write_text(json.dumps({**told, **changed}))
        assert "verify" in refused(["reproduce", str(out)])
        assert "verify" in refused(["merge", str(out)])
