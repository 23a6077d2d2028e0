"""Relearning: what a ratio is read for and what not, and a training of every model end to end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.evidence import controls, sham, tuning, verify
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Wanted
from tracelang.evidence.damage import Kept
from tracelang.evidence.expectations import outcome
from tracelang.evidence.half_life import HalfLife, Ratio
from tracelang.evidence.judges import Worldly, load
from tracelang.evidence.metrics.metric import Measured
from tracelang.evidence.metrics.relearn import relearn
from tracelang.evidence.pictures import Sample
from tracelang.evidence.report import wording
from tracelang.evidence.report.relearning import Learnt, merging, reading
from tracelang.evidence.rounding import added
from tracelang.evidence.schema import DegreePoint, Relearning
from tracelang.evidence.tuning import tuned
from tracelang.evidence.units import relearn as relearning
from tracelang.evidence.units import units
from tracelang.evidence.units.everyday import everyday, unnamed
from tracelang.evidence.units.relearn import USUAL, CurveRow, RelearnRecord, ShamRecord
from tracelang.evidence.verdicts import rate
from tracelang.models.locate import family_of, locate
from tracelang.models.protocol import Model
from tracelang_micro.world import diffusion

DOG = ("dog",)
GRID = (0, 10, 100)
CONTROL = 'control never = "micro-made-up-never"\n'
ASKED = (
    CONTROL
    + "expect over 3 samples { relearn(dog) >= 80% shown(dog) after round nf4 <= 100% kept(cat) after merge 50% >= 0% "
    "kept(cat) after adapter 50% >= 0% }"
)


@pytest.fixture(scope="module")
def base() -> Model:
    folder = locate("micro-sd")
    return family_of(folder).load(folder, "cpu", None)


def record(
    model: str, seed: int, *shown: float, kept: float = 1.0, everyday: int = 20, **more: object
) -> RelearnRecord:
    """A training of 20 pictures, of which so many show it at each step, and 20 everyday ones."""
    rows = tuple(CurveRow(prompt="a", seed=i, shows=tuple(i < round(20 * s) for s in shown)) for i in range(20))
    stays = tuple(CurveRow(prompt="b", seed=i, shows=(True, i < 20 * kept, i < 20 * kept)) for i in range(everyday))
    told = {"data": USUAL.data, "taught": USUAL.pictures, "tuning": USUAL.tuning, "grid": GRID, **more}
    return RelearnRecord(member=DOG, model=model, seed=seed, plain=rows, kept=stays, **told)  # type: ignore[arg-type]


def shams(speed: dict[str, float]) -> dict[str, ShamRecord]:
    """A loss that falls from 1 to 0, by the middle of the grid so far."""
    return {
        f"sham-{model}-{seed}": ShamRecord(
            model=model, tuning="adapter", seed=seed, grid=GRID, losses=((1.0, 1 - fallen, 0.0),) * 4
        )
        for model, fallen in speed.items()
        for seed in (0, 1)
    }


def found(
    edited: tuple[float, ...],
    never: tuple[float, ...],
    kept: tuple[float, float] = (1.0, 1.0),
    pace: float = 0.6,
    everyday: int = 20,
) -> Relearning:
    """What is said of curves at steps 0, 10 and 100; `kept` of everyday pictures by the edited model and by twins."""
    curves = {"base": (1.0, 1.0, 1.0), "edited": edited, "never-1": never, "never-2": never}
    left = {"edited": kept[0], "never-1": kept[1], "never-2": kept[1]}
    records = {
        f"{model}-{seed}": record(model, seed, *shown, kept=left.get(model, 1.0), everyday=everyday)
        for model, shown in curves.items()
        for seed in (0, 1)
    }
    fallen = {**dict.fromkeys(curves, 0.6), "edited": pace}
    (one,) = Learnt.of({**records, **shams(fallen)}).findings()
    return one


def expected(one: Relearning, bound: float = 0.8) -> str:
    plan = tracelang.compile(RECIPE + CONTROL + f"expect {{ relearn(dog) >= {bound} }}")
    return relearn(plan.expect[0], Measured(plan, {}, {}, {}, relearning=(one,)), DOG).verdict


def test_what_comes_back_sooner_than_it_is_learnt_is_residue() -> None:
    one = found((0.0, 0.9, 1.0), (0.0, 0.0, 0.9))
    assert one.reading == "residue shown" and one.sound and one.sham == pytest.approx(1)
    assert one.ratio is not None and one.ratio < 0.5 and expected(one) == "fail"


def test_what_is_learnt_as_slowly_as_anew_is_none_by_this_probe() -> None:
    one = found((0.0, 0.0, 1.0), (0.0, 0.0, 1.0))
    assert one.reading == "none by this probe" and one.ratio == pytest.approx(1) and expected(one) == "pass"


def test_a_model_that_learns_anything_at_another_pace_is_not_compared() -> None:
    one = found((0.0, 0.0, 0.9), (0.0, 0.9, 1.0), pace=0.1)
    assert one.reading == "open" and not one.sound and "they learn alike" in one.reason
    assert f"measured, but it says nothing of the edit: {one.reason}; " in told(one)
    assert told(one).endswith("Measured, and no figure of it decides.")
    assert one.sham is not None and one.sham > 1.25 and expected(one) == "inconclusive"


def test_a_model_that_forgets_more_than_the_others_on_the_way_is_not_compared() -> None:
    one = found((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), kept=(0.5, 1.0))
    assert one.reading == "open" and "more damaged" in one.reason and expected(one) == "inconclusive"
    assert one.spared is not None and (one.spared.n, one.spared.never) == (40, 1.0)
    assert one.spared.edited == one.spared.ratio == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_a_model_that_forgets_as_the_others_do_is_compared() -> None:
    one = found((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), kept=(0.5, 0.5))
    assert one.sound and one.reading == "none by this probe" and expected(one) == "pass"
    assert one.spared is not None and one.spared.ratio == 1 and one.spared.edited < 0.7


def test_few_everyday_pictures_or_none_leave_it_open() -> None:
    few = found((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), everyday=7)
    none = found((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), everyday=0)
    assert not few.sound and "of 14 everyday pictures" in few.reason and "too few" in few.reason
    assert not none.sound and none.spared is None and "no judge can tell" in none.reason
    assert found((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), everyday=8).sound


def test_neither_learning_it_is_undefined_and_says_so() -> None:
    one = found((0.0, 0.0, 0.1), (0.0, 0.0, 0.1))
    assert one.ratio is None and one.reading == "open" and "within 100 steps" in one.reason


def told(one: Relearning) -> str:
    """The metric's reason, and what the page says was measured."""
    plan = tracelang.compile(RECIPE + CONTROL + "expect { relearn(dog) >= 80% }")
    came = outcome(plan.expect[0], Measured(plan, {}, {}, {}, relearning=(one,)))
    (measure,) = came.measures
    return f"{measure.reason} | {wording.measured(came, measure)} | {wording.arithmetic(came, measure)}"


def test_one_that_never_learns_it_is_bounded_below() -> None:
    one = found((0.0, 0.0, 0.1), (0.0, 0.9, 1.0))
    assert one.interval is not None and one.interval[1] is None and one.interval[0] is not None
    assert one.bound == "at least" and expected(one) == "pass"  # at least that many times the steps
    assert expected(one, 1e6) == "inconclusive"  # and perhaps a million times
    assert told(one).count("at least") == 4 and "the edited model did not learn it within 100 steps" in told(one)


def test_where_the_twins_never_learn_it_the_ratio_is_at_most_that_and_never_passes() -> None:
    one = found((0.0, 0.9, 1.0), (0.0, 0.0, 0.1))
    assert one.bound == "at most" and one.interval is not None and one.interval[0] is None
    assert one.interval[1] is not None and one.interval[1] < 0.8
    assert one.ratio == pytest.approx(11 ** (5 / 9) / 101)  # half of the base's at 5/9 of the way from 0 to 10
    assert one.reading == "residue shown" and expected(one) == "fail"
    assert expected(one, one.interval[1] - 1e-6) == "inconclusive" and expected(one, 0.01) == "inconclusive"
    assert told(one).count("at most") == 4 and "those models did not learn it within 100 steps" in told(one)


def test_an_upper_bound_that_lies_above_the_bound_decides_nothing() -> None:
    one = found((0.0, 0.0, 0.75), (0.0, 0.0, 0.1))
    assert one.bound == "at most" and one.sound and one.ratio == pytest.approx((101 / 11) ** (2 / 3) * 11 / 101)
    assert one.interval is not None and one.interval[1] is not None and one.interval[1] > 0.6
    assert expected(one, 0.6) == "inconclusive" and expected(one, 0.1) == "inconclusive"


def test_without_a_twin_a_half_life_stands_alone_and_a_failure_opens_it() -> None:
    records = {
        f"{m}-{s}": record(m, s, *shown) for m, shown in (("base", (1, 1, 1)), ("edited", (0, 1, 1))) for s in (0, 1)
    }
    (alone,) = Learnt.of(records).findings()
    assert alone.reading == "not compared" and alone.ratio is None
    assert {curve.model: round(curve.half_life, 2) for curve in alone.curves} == {"base": 0.0, "edited": 2.32}
    (failed,) = Learnt.of({**records, "x": record("never-1", 0, 0, 0, 0, error="it broke")}).findings()
    assert failed.reading == "open" and failed.reason == "it broke"


def test_a_sham_that_nobody_learnt_or_that_is_only_bounded_says_nothing() -> None:
    ratio = Ratio(HalfLife(3), HalfLife(3), 1.0, 0.9, 1.1)
    none = Ratio(HalfLife(9, True), HalfLife(9, True), None, None, None)
    bounded = Ratio(HalfLife(9, True), HalfLife(9), 1.0, 0.9, None)
    kept = Kept(40, 1.0, 1.0, 1.0, 1.0, 1.0)
    for pace in (none, bounded, "it failed"):
        assert reading(ratio, pace, kept, 100)[0] == "open"
    assert "at least 1.00 times" in reading(ratio, bounded, kept, 100)[1]
    assert reading(ratio, ratio, kept, 100)[0] == "none by this probe"


def test_half_of_the_rate_is_back_between_the_degrees_that_were_drawn() -> None:
    points = [DegreePoint(degree=d, shown=rate(n, 10), kept=None) for d, n in ((0, 10), (0.5, 8), (0.75, 4), (1, 0))]
    at = merging(points)
    assert at is not None and at.half == pytest.approx(1 - (0.75 - 0.25 / 4))
    assert merging(points[:1]) is None
    kept = merging([DegreePoint(degree=d, shown=rate(10, 10), kept=None) for d in (0, 1)])
    assert kept is not None and kept.half == 0  # the edit took nothing


def test_models_that_are_compared_learn_from_the_same_numbers_and_are_afterwards_as_before(base: Model) -> None:
    lesson = sham.lesson(base, 0, 3)
    again = tuning.drawn(base, lesson, 5, 7)
    batch, rows = tuning.drawn(base, lesson, 5, 7)
    assert torch.equal(batch.latents, again[0].latents) and torch.equal(rows, again[1])
    assert not torch.equal(batch.latents, tuning.drawn(base, lesson, 6, 7)[0].latents)
    before = {name: weight.clone() for name, weight in base.denoiser.named_parameters()}
    for how in tuning.RATES:
        told = [sum(tuning.losses(student, lesson)) for _, student in tuning.tuned(base, lesson, how, 0, (0, 3))]
        assert told[1] < told[0]  # it learns
    assert before.keys() == dict(base.denoiser.named_parameters()).keys()
    assert all(torch.equal(weight, before[name]) for name, weight in base.denoiser.named_parameters())


def test_an_adapter_that_is_added_changes_what_is_edited_as_far_as_it_is_strong(base: Model) -> None:
    lesson = sham.lesson(base, 0, 3)
    factors = tuning.adapter(base, lesson, 0, 3)
    assert set(factors) == set(tuning.attention(base)) and any(float(one.up.norm()) for one in factors.values())
    half, none = added(base, factors, 0.5), added(base, factors, 0.0)
    for site, one in factors.items():
        change = (half.weight(site) - base.weight(site)).double()
        assert torch.allclose(change, 0.5 * one.up @ one.down, atol=1e-6)
        assert torch.equal(none.weight(site), base.weight(site))
    told = [sum(tuning.losses(model, lesson)) for model in (base, added(base, factors, 1.0))]
    assert told[1] < told[0]  # it is what was trained


def test_a_figure_is_what_the_autoencoder_gives_back(base: Model) -> None:
    images = torch.stack([sham.figure(i, 64, 64) for i in range(2)])
    made = base.decode(base.latents_of(images))
    own, other = (float((made - theirs).abs().mean()) for theirs in (images, images.flip(0)))
    assert own < 0.7 * other
    assert not torch.equal(images[0], images[1])


def test_every_model_is_trained_and_looked_at_end_to_end_and_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = tmp_path / "micro-made-up-never"
    shutil.copytree(locate("micro-sd"), never)
    diffusion.make_unet(seed=2).half().save_pretrained(never / "unet", safe_serialization=True)
    monkeypatch.setattr(controls, "embedded", lambda: {never.name: never})
    monkeypatch.setattr(controls, "locate", lambda name: tmp_path / name)
    out = closed_form(tracelang.compile(RECIPE + ASKED), tmp_path / "out")

    trained = list[Model]()

    def counted(model: Model, *asked: Any) -> Any:
        trained.append(model)
        return tuned(model, *asked)

    monkeypatch.setattr(relearning, "tuned", counted)

    def run(out: Path = out) -> tracelang.Report:
        trained.clear()
        report = verify.verify(out, samples=0, steps=2, budget=Budget(tuning=2), shelf=tmp_path / "shelf")
        assert report is not None
        return report

    report = run()
    first = len(trained)
    (one,) = report.relearning
    assert {curve.model for curve in one.curves} in ({"base", "edited", "never-1"}, set()) and not report.errors
    assert [outcome.after is not None for outcome in report.outcomes].count(True) == 3
    assert all("was not drawn" not in outcome.reason for outcome in report.outcomes)
    assert {row.to for row in report.rounding} == {"int8", "fp8", "nf4", "bf16"}
    assert report.cost.seconds.keys() >= {"relearn", "sham", "after", "rounding"}
    lost = next(out.glob("report/work/*/relearn-*edited*.json"))
    text = (out / "report" / "report.json").read_text()
    lost.unlink()
    assert run().relearning == report.relearning and lost.exists()
    also = RECIPE.replace("method uce {}", "method uce { refine.ridge = 1 }") + 'preserve prior "house"\n' + ASKED
    again = run(closed_form(tracelang.compile(also), tmp_path / "other")).relearning
    theirs, before = (
        [curve for curve in one.curves if curve.model != "edited"] for (one,) in (again, report.relearning)
    )
    assert theirs == before
    assert 0 < first == 3 * len(trained), "of base, edit and twin the edit alone is trained where another method edits"
    assert len(text) > 1000
    shutil.rmtree(out)


def test_what_is_protected_is_never_trained_or_taught() -> None:
    plan = tracelang.compile(RECIPE)
    dog = plan.concept("dog").model_copy(update={"kind": "protected"})
    plan = plan.model_copy(update={"concepts": tuple(dog if one.name == "dog" else one for one in plan.concepts)})
    every = units(Wanted(plan, {DOG: ()}, (), 5, {}))
    assert not [unit for unit in every if unit.kind in ("relearn", "sham")]


def test_damage_is_seen_by_things_that_the_recipe_names_nowhere(whole_panel: None) -> None:
    judge = load("micro")
    assert isinstance(judge, Worldly)
    world = [found.label for _, found in judge.world()]
    much = [one for one in world if one not in ("dog", "cat")][:40]
    quoted = ", ".join(f'"{one}"' for one in much)
    plan = tracelang.compile(f"{RECIPE}preserve {quoted}\n")
    panel = everyday(plan, [judge])
    free = unnamed(plan, [judge], panel)
    shown = {sought.found.label for sought in free.values() if sought is not None}
    assert len(panel) == 24 and shown == set(world) - set(much) - {"dog", "cat"}  # without the anchor and the preserved
    assert not unnamed(tracelang.compile(RECIPE + 'preserve "red kite"'), [], {Sample("two red kites", 0): None})
