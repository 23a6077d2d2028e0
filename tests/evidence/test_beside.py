"""A real edit beside models of its own architecture: every probe on each, once, and what stands in the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.cli import main
from tracelang.evidence import attacks, bench, controls, verify
from tracelang.evidence.attacks import Budget
from tracelang.evidence.controls import Asked, Control
from tracelang.evidence.prepare import prepare
from tracelang.evidence.schema import Report
from tracelang.evidence.units import control, drift, floor, noise
from tracelang.evidence.units.control import ControlUnit
from tracelang_micro import micro_sd
from tracelang_micro.world import diffusion

SOME = {"paraphrase": attacks.ATTACKS["paraphrase"], "inverse_map": attacks.ATTACKS["inverse_map"]}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ENOUGH", 4)
    monkeypatch.setattr(floor, "COUNT", 4)
    monkeypatch.setattr(drift, "DRIFTS", 1)
    monkeypatch.setattr(noise, "TRAJECTORIES", 1)
    monkeypatch.setattr(attacks, "ATTACKS", SOME)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Two models that never knew anything: the embedded one with untrained denoisers."""
    home = tmp_path_factory.mktemp("twins")
    for seed in (2, 3):
        shutil.copytree(micro_sd(), home / f"twin-{seed}")
        diffusion.make_unet(seed=seed).half().save_pretrained(home / f"twin-{seed}" / "unet", safe_serialization=True)
    return tuple(str(home / f"twin-{seed}") for seed in (2, 3))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return closed_form(tracelang.compile(RECIPE), tmp_path_factory.mktemp("beside") / "out")


def asked(twins: tuple[str, ...]) -> list[Asked]:
    return [("never", twins), ("random", ())]


def test_every_probe_is_tried_on_each_control_which_is_loaded_once(
    out: Path, twins: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    shutil.copytree(out, place)
    loads: list[str] = []
    load = bench.Bench.model

    def counted(self: bench.Bench, name: str) -> object:
        if name in self.others and name not in self.held:
            loads.append(name)
        return load(self, name)

    monkeypatch.setattr(bench.Bench, "model", counted)
    report = verify.verify(place, samples=3, steps=2, controls=asked(twins))
    assert isinstance(report, Report) and report.controls is not None and not report.errors
    assert loads == ["never-1", "never-2", "random"]
    probes = {one.how: one for one in report.controls.probes}
    assert set(probes) == {"names", "probes", *SOME}
    for one in probes.values():
        assert [(on.name, on.rate.n) for on in one.never if on.rate] == [("never-1", 3), ("never-2", 3)]
        assert one.random is not None and one.random.rate is not None and one.random.rate.n == 4
        assert one.base is not None and one.edited is not None and one.base.n == one.edited.n == one.targets == 3
        assert one.verdict == "open" and not one.valid and "too few to rule out" in one.why  # of 4 targets
        assert one.excess is not None and one.excess.low <= one.excess.value <= one.excess.high
    assert all(one.floor is not None and one.floor.n == 4 and one.base is not None for one in report.attacks)
    page = (place / "report" / "report.html").read_text()
    assert "Left in it, or learned anew?" in page and "twin-2" in page and "A rate alone cannot tell" not in page
    assert "| dog, asked for by name | " in (place / "README.md").read_text()


def test_a_control_is_part_of_what_a_run_is(out: Path, twins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    alone, one, both = (
        prepare(out, samples=3, steps=2, controls=some)
        for some in ([], [("never", twins[:1])], [("never", twins), ("random", ())])
    )
    assert len({alone.run.digest, one.run.digest, both.run.digest}) == 3
    order = [unit.control for unit in both.units if unit.control]
    assert order == sorted(order, key=list(both.bench.controls).index)
    assert sum(isinstance(unit, ControlUnit) for unit in both.units) == 12
    keys = [unit.key for unit in both.units]
    assert len(set(keys)) == len(keys) and all(unit.control == "" for unit in alone.units)
    assert [unit.key for unit in one.units if isinstance(unit, ControlUnit)] == [
        key for key in keys if key.startswith("control-never-1")
    ]


def test_without_a_control_the_report_says_what_a_rate_cannot_tell(out: Path, tmp_path: Path) -> None:
    place = tmp_path / "out"
    shutil.copytree(out, place)
    report = verify.verify(place, samples=0, steps=2)
    assert report is not None and report.controls is None
    assert any("whether what attacks find was left in the model" in line for line in report.untested)
    assert "A rate alone cannot tell what was left in the model" in (place / "report" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--control", "nevr=x"], "'nevr=x' is neither never=MODEL[,MODEL] nor random"),
        (["--control", "random=x"], "'random=x' is neither"),
        (["--control", "never="], "'never=' is neither"),
        (["--control", "never=micro-sx-never"], "run `make twins`"),
        (["--control", "never=micro-sd"], "micro-sd is the base itself"),
        (["--budget", "row=3"], "there is no row; did you mean rows?"),
        (["--budget", "zebra=3"], "there is no zebra; there are rows, tokens"),
        (["--budget", "rows"], "write NAME=VALUE"),
        (["--budget", "rows=3,rows=4"], "rows is given twice"),
        (["--budget", "rows=3.5"], "rows is a whole number up to 1,000,000"),
        (["--budget", "rows=-1"], "rows is a whole number"),
        (["--budget", "eta=nan"], "eta is a number from 0 to 1000"),
        (["--budget", "left=2"], "a budget's `left` is a share"),
        (["--budget", "rows=0"], "a budget needs a row"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_a_line(out: Path, words: list[str], line: str) -> None:
    ran = CliRunner().invoke(main, ["verify", str(out), "--samples", "1", "--steps", "2", "--device", "cpu", *words])
    assert ran.exit_code == 2 and line in ran.output and "Traceback" not in ran.output
    assert not (out / "report" / "report.json").exists()


def test_a_budget_is_part_of_what_a_run_is(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracelang.evidence import budgets

    given = budgets.read("rows=3, eta=0.5,rate=0.1")
    assert given == Budget(rows=3, eta=0.5, rate=0.1) and budgets.read("") == Budget()
    facts = [prepare(out, samples=1, steps=2, budget=one).run.facts["budget"] for one in (given, Budget())]
    assert facts[0]["rows"] == "3" and facts[0] != facts[1]


def test_a_recipe_names_its_controls(tmp_path: Path, twins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.replace("\nmethod", '\ncontrol never = "micro-made-up-never"\ncontrol random\nmethod')
    place = closed_form(tracelang.compile(recipe), tmp_path / "out")
    named = {f"micro-made-up-never-{i}": Path(twin) for i, twin in enumerate(twins, 1)}
    monkeypatch.setattr(controls, "embedded", lambda: named)
    monkeypatch.setattr(controls, "locate", lambda name: named[name])
    found: dict[str, Control] = dict(prepare(place, samples=1, steps=2).bench.others)
    assert list(found) == ["never-1", "never-2", "random"]
