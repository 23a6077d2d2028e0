"""What the prompts of a suite show: drawn under the suite's own seeds, counted, and never printed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.evidence.asked import asked
from tracelang.evidence.bench import Wanted
from tracelang.evidence.pictures import rows_of, samples_of
from tracelang.evidence.report.suites import WITHHELD
from tracelang.evidence.units import control, everyday, noise
from tracelang.evidence.units.control import probes
from tracelang_micro import micro_sd
from tracelang_micro.world import diffusion

HEAD = "case_number,prompt,evaluation_seed,evaluation_guidance\n"
UDA = f"{HEAD}0,a picture of a dog,11,7.5\n1,a dog,12,7.5\n2,one dog,13,3\n"
DOGS = 'on suite "dog.csv" as unlearn_diff_atk'
CATS = "case_number,prompt,evaluation_seed\n0,one cat,5\n"
PROTECTED = 'concept closed kind protected { names "one dog" }\n'
ASKED = """expect over 2 samples { shown(dog) on suite "dog.csv" as unlearn_diff_atk <= 90% }
expect over 9 samples { kept(cat) on suite "cat.csv" as unlearn_diff_atk >= 10% }"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.csv").write_text(UDA)
    (tmp_path / "cat.csv").write_text(CATS)
    return tmp_path


def test_pictures_have_the_suites_prompts_and_seeds(root: Path) -> None:
    plan = tracelang.compile(RECIPE + ASKED, root=root)
    found = {row.member: samples_of(plan, row) for one in plan.expect for row in rows_of(plan, one)}
    assert [(one.prompt, one.seed) for one in found["dog",]] == [("a picture of a dog", 11), ("a dog", 12)]
    assert [(one.prompt, one.seed) for one in found["cat",]] == [("one cat", 5)]


def test_its_prompts_of_what_is_erased_are_a_probe_of_every_control(root: Path) -> None:
    plan = tracelang.compile(RECIPE + ASKED, root=root)
    found = [*probes(Wanted(plan, {("dog",): (), ("cat",): ()}, ("p4d",), 4, {}))]
    assert {one.how for one in found} == {"names", "probes", "p4d", f"named {DOGS}"}
    (own,) = (one for one in found if one.given)
    assert own.row in Wanted(plan, {("dog",): ()}, (), 4, {}).rows and own.name == "suite"


def test_an_excess_is_asked_of_a_suite_s_prompts_which_a_random_model_draws_more_often(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everyday.EverydayUnit, "wanted", lambda wanted: ())
    monkeypatch.setattr(noise.NoiseUnit, "wanted", lambda wanted: ())
    monkeypatch.setattr(control, "ENOUGH", 7)
    twin = root / "twin"
    shutil.copytree(micro_sd(), twin)
    diffusion.make_unet(seed=2).half().save_pretrained(twin / "unet", safe_serialization=True)
    beside = f'control never = "{twin}"\ncontrol random\n'
    plan = tracelang.compile(f"{RECIPE}{beside}expect over 9 samples {{ excess(dog) {DOGS} <= 10% }}", root=root)
    report = tracelang.verify(closed_form(plan, root / "out"), samples=0, steps=2)
    (one,) = report.controls.probes
    assert (one.how, one.targets) == (DOGS, 3) and not report.errors
    assert one.never[0].rate is not None and one.never[0].rate.n == 3
    assert one.random is not None and one.random.rate is not None and one.random.rate.n == 7
    (outcome,) = report.outcomes
    assert outcome.verdict == "inconclusive" and outcome.because == one.why  # of three targets
    with pytest.raises(tracelang.CompileError, match="makes prompts of its own"):
        tracelang.compile(f"{RECIPE}{beside}expect {{ excess(dog, p4d) {DOGS} <= 10% }}", root=root)


def test_what_speaks_of_something_protected_is_withheld(root: Path) -> None:
    text = RECIPE.replace("tracelang 1\n", f"tracelang 1\n{PROTECTED}") + ASKED.replace("over 2", "over 3")
    plan = tracelang.compile(text, root=root)
    (row,) = rows_of(plan, next(one for one in plan.expect if one.metric == "shown"))
    assert [one.prompt for one in samples_of(plan, row)] == ["a picture of a dog", "a dog"]
    (told,) = (one for one in asked(plan, 0) if "on suite" in one.purpose and one.concepts == ("dog",))
    assert told.prompts == ("a picture of a dog", "a dog") and told.withheld == 1


def test_the_report_counts_and_does_not_quote(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everyday.EverydayUnit, "wanted", lambda wanted: ())
    monkeypatch.setattr(noise.NoiseUnit, "wanted", lambda wanted: ())
    out = closed_form(tracelang.compile(RECIPE + ASKED, root=root), root / "out")
    report = tracelang.verify(out, samples=0, steps=2)
    dog, cat = report.suites if report.suites[0].member == ("dog",) else report.suites[::-1]
    assert (dog.suite, dog.metric, dog.prompts, dog.drawn, dog.seeded, dog.guided) == (
        "unlearn_diff_atk",
        "shown",
        3,
        2,
        3,
        3,
    )
    assert dog.base.n == dog.after.n == 2 and (cat.prompts, cat.drawn, cat.guided) == (1, 1, 0)
    shown = next(one for one in report.outcomes if one.metric == "shown")
    assert shown.on == 'on suite "dog.csv" as unlearn_diff_atk' and shown.measures[0].rate is not None
    assert shown.measures[0].rate.n == 2
    page = (out / "report" / "report.html").read_text()
    assert "UnlearnDiffAtk" in page and WITHHELD in page
    for prompt in ("one cat", "one dog"):
        assert prompt not in page and prompt not in (out / "report" / "report.json").read_text()
