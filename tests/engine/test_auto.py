"""Windows that the model chooses: what they are where the answer is known, and that they are recorded as they were."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.plans import bound, erasure, fuse, plan, refine, run, steer, term
from tests.engine.test_steer import identical
from tests.engine.toy import Toy
from tracelang.engine.auto import FAR, Told, told
from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.options import Options
from tracelang.engine.task import Task, task_of
from tracelang.engine.training import Shared
from tracelang.evidence.report.chosen import chosen, drawn
from tracelang.models.protocol import TextStates
from tracelang.plan.bind import BindError, settled
from tracelang.plan.compile import compile
from tracelang.plan.types import Auto, Plan, Window
from tracelang.semantics.passes.steer import LEVELS, NOISES, PICTURES

CHOSEN, BEFORE = Auto(0.5), Auto(0.5, "before")
TERMS = (term("push", CHOSEN), term("hold", BEFORE, 0.5), term("blank", weight=0.5), term("keep", weight=3.0))
SPREAD = 0.5
"""Of the pictures of a concept, around its mean."""


class Knowing(Toy):
    """A model whose every concept is normal around a mean of its own, and which predicts as well as can be."""

    guidance = 1.0

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        learned = super().predict(latents, times, states)
        a, b = self.level(times)
        mean = self.mean(states)
        return b * (latents - a * mean) / (a**2 * SPREAD**2 + b**2) + 0.01 * learned

    def mean(self, states: TextStates) -> Tensor:
        """A number for every prompt, the same in every pixel."""
        return (3 * states.inputs["tokens"][:, 1:, 0].mean(1)).sin().view(-1, 1, 1, 1)

    def level(self, times: Tensor) -> tuple[Tensor, Tensor]:
        angle = (math.pi / 2 * (times + 1) / 1001).view(-1, 1, 1, 1)
        return angle.cos(), angle.sin()


class Velocities(Knowing):
    """The same knowledge, told as v."""

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        a, b = self.level(times)
        noise = super().predict(latents, times, states)
        return a * noise - b * (latents - b * noise) / a

    def diffuse(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        x, _ = super().diffuse(clean, noise, times)
        a, b = self.level(times)
        return x, a * noise - b * clean


def chosen_plan(*, anchor: str | None = "ship", **changes: object) -> Plan:
    settings: dict[str, object] = {"trajectories": PICTURES, "terms": TERMS, **changes}
    return plan((erasure("cat", anchor=(anchor,) if anchor else None),), steer(**settings))


def task(model: Toy, p: Plan, cache: Path | None = None) -> Task:
    (part,) = bound(p, model).passes
    return task_of(part, p, model, p.active[:1], 0, Options(cache=cache))


def edited(p: Plan, model: Toy | None = None, **options: object) -> Edit:
    return run(p, model or Knowing(), **{"cache": None, "autocast": False, **options})  # type: ignore[arg-type]


def recorded(p: Plan, edit: Edit) -> Plan:
    """The plan with the windows that the edit's figures say, read back from JSON as a recipe writes them."""
    (figures,) = json.loads(json.dumps(edit.figures["steer"]))

    def of(one: object) -> object:
        said = figures["auto"]["windows"][one.label]["chosen"]  # type: ignore[attr-defined]
        text = f'erase "a" define method m {{ steer {{ push during {said} {{}} }} }} method m'
        return replace(one, during=compile(text).method.passes[0].terms[0].during)  # type: ignore[type-var]

    (step,) = p.method.passes
    terms = tuple(of(one) if isinstance(one.during, Auto) else one for one in step.terms)
    return p.model_copy(update={"method": p.method.model_copy(update={"passes": (replace(step, terms=terms),)})})


def test_the_curve_is_what_is_known_of_two_normal_concepts() -> None:
    """`D_a − D_c → (a b / (a² s² + b²))² (μ_c − μ_a)(2 (x̄ − μ_a) − (μ_c − μ_a))` for pictures of mean x̄."""
    model = Knowing()
    about = task(model, chosen_plan())
    known: Shared = {}
    found = told(model, about, known)
    (paths,) = known.values()
    assert paths is not None and len(paths) == PICTURES
    times = torch.tensor(model.clock.times(LEVELS))
    a, b = (one.flatten() for one in model.level(times))
    slope = (a * b / (a**2 * SPREAD**2 + b**2)).double()
    peak = int(slope.argmax())
    assert 0 < peak < LEVELS - 1
    assert abs(int((found.curve * found.empty.mean(0)).argmax()) - peak) <= 1
    first, last = found.hull(0.5) or (0, 0)
    assert 0 < first < peak < last and found.curve[first - 1] < 0.5 * found.curve.max() <= found.curve[first]
    window = found.window(CHOSEN)
    assert window is not None and window.unit == "logsnr" and window.low < found.logsnr[first] < window.high
    inside = [number for number, level in enumerate(found.logsnr) if window.low <= level < window.high]
    assert inside == list(range(first, last + 1)) and found.window(BEFORE) == Window("logsnr", -FAR, window.low)


def test_what_a_prediction_stands_for_changes_nothing() -> None:
    known: Shared = {}  # both look at the pictures of the first
    one, other = (told(model, task(model, chosen_plan()), known) for model in (Knowing(), Velocities()))
    assert torch.allclose(one.curve, other.curve, rtol=1e-3, atol=1e-3) and one.hull(0.5) == other.hull(0.5)


def test_levels_are_told_by_more_than_two_standard_errors_and_a_hull_has_no_holes() -> None:
    gain = torch.tensor([[0.0, 1.0, 0.1, 0.9, 9.0, 0.0]]).repeat(PICTURES, 1).double()
    gain[::2, 4] = -8.9  # the largest mean would be noise, were it not for the others
    told = Told((-5.0, -3.0, -1.0, 1.0, 3.0, 5.0), gain, torch.ones_like(gain))
    assert told.hull(0.5) == (1, 3)
    assert told.window(CHOSEN) == Window("logsnr", -4.0, 2.0)
    assert told.inside(0.5) == pytest.approx(2.0 / 2.05)
    everywhere = Told(told.logsnr, torch.ones_like(gain) + torch.rand(gain.shape).double() / 9, told.empty)
    assert everywhere.window(CHOSEN) == Window("logsnr", -FAR, FAR) and everywhere.window(BEFORE) is None
    doubtful = torch.ones_like(gain)
    doubtful[::2] = -0.5
    nothing = Told(told.logsnr, doubtful, told.empty)
    assert nothing.hull(1) is None and nothing.window(CHOSEN) is None


@pytest.mark.parametrize("anchor", ["ship", None])
def test_the_recorded_windows_give_the_same_edit_bit_for_bit(anchor: str | None) -> None:
    p = chosen_plan(anchor=anchor)
    edit = edited(p)
    (figures,) = edit.figures["steer"]
    assert len(figures["auto"]["told"]) == LEVELS and 0 < figures["auto"]["windows"]["push"]["inside"] <= 1
    (shown,) = chosen({"figures": json.loads(json.dumps(edit.figures))})  # as the report reads it from the lock
    assert shown.concept == "cat" and [one.label for one in shown.windows] == ["push", "hold"] and drawn(shown)
    assert all(
        low <= Δ <= high for low, Δ, high in zip(*(figures["auto"][k] for k in ("low", "told", "high")), strict=True)
    )
    again = edited(recorded(p, edit))
    assert identical(edit, again) and "auto" not in again.figures["steer"][0]
    assert not identical(edit, edited(chosen_plan(anchor=anchor, terms=(term("push"), *TERMS[1:]))))


def test_a_gate_is_the_window_of_the_one_concept() -> None:
    edit = edited(chosen_plan(gate=CHOSEN))
    assert edit.gate is not None
    assert [edit.gate.low, edit.gate.high] == edit.figures["steer"][0]["auto"]["windows"]["gate"]["logsnr"]


def test_every_concept_has_windows_of_its_own() -> None:
    both = plan((erasure("cat", anchor=("ship",)), erasure("car", anchor=("truck",))), *chosen_plan().method.passes)
    model = Knowing()
    edit = edited(both, model)
    one, other = (found["auto"] for found in edit.figures["steer"])
    assert one["told"] != other["told"]
    alone = edited(plan(both.erase[:1], *both.method.passes, fuse()))
    assert alone.figures["steer"][0]["auto"] == one


def test_what_is_chosen_is_cached_and_nothing_is_sampled_twice(tmp_path: Path) -> None:
    asked = LEVELS * PICTURES * NOISES * 3
    p, model, said = chosen_plan(), Knowing(), list[str]()
    edit = edited(p, model, progress=lambda what, done, of: said.append(what))
    (part,) = bound(p, model).passes
    assert sum(model.evaluations) == part.cost.frozen + part.cost.trained
    assert edit.figures["steer"][0]["evaluations"]["frozen"] == part.cost.frozen > asked
    assert said.count("window of cat") == LEVELS
    first, second = Knowing(), Knowing()
    edited(p, first, cache=tmp_path)
    assert identical(edit, edited(p, second, cache=tmp_path))
    assert sum(second.evaluations) == part.cost.trained and len(list(tmp_path.glob("window-*"))) == LEVELS
    next(tmp_path.glob("window-*")).write_bytes(b"damaged")
    third = Knowing()
    assert identical(edit, edited(p, third, cache=tmp_path))
    assert sum(third.evaluations) == part.cost.trained + asked // LEVELS


def test_an_interrupted_choice_goes_on_level_by_level(tmp_path: Path) -> None:
    class Stop(KeyboardInterrupt): ...

    def stop(what: str, done: int, of: int) -> None:
        if what.startswith("window") and done == 7:
            raise Stop

    p, model = chosen_plan(), Knowing()
    with pytest.raises(Stop):
        edited(p, cache=tmp_path, progress=stop)
    edit = edited(p, model, cache=tmp_path)
    (part,) = bound(p, model).passes
    kept = 2 * 2 * PICTURES * 5
    assert sum(model.evaluations) == part.cost.trained + kept + (LEVELS - 7) * PICTURES * NOISES * 3
    assert identical(edit, edited(p))


def test_a_model_that_does_not_tell_them_apart_is_told_so() -> None:
    with pytest.raises(
        EngineError, match="steer: the model does not tell 'ship' from 'ship' at any noise level"
    ) as error:
        edited(plan((erasure("ship", anchor=("ship",)),), *chosen_plan().method.passes))
    assert "another anchor, or write a range" in str(error.value) and "\n" not in str(error.value)


def test_a_plan_leaves_it_open_and_refuses_what_it_can() -> None:
    model = Knowing()
    (part,) = bound(chosen_plan(), model).passes
    assert [one.logsnr is None for one in part.terms] == [True, True, False, False]
    assert [len(share.steps) for share in part.met.shares] == [5] * 4
    after = bound(plan((erasure("cat"),), refine(), *chosen_plan().method.passes), model).passes[1]
    assert after.cost.frozen - part.cost.frozen == 5 * PICTURES - LEVELS * PICTURES * NOISES - 5 * PICTURES
    with pytest.raises(BindError, match="`auto` looks at 16 pictures of a concept; let `trajectories` be 16 or more"):
        bound(chosen_plan(trajectories=15), model)
    with pytest.raises(BindError, match="`gate` is one for the whole edit, and `auto` would choose 2, one a concept"):
        bound(plan((erasure("cat"), erasure("car")), *chosen_plan(gate=CHOSEN).method.passes), model)
    with pytest.raises(BindError, match="`auto` chooses a window for each concept, and a joint adapter has one"):
        bound(plan((erasure("cat"), erasure("car")), *chosen_plan(adapters="joint").method.passes), model)
    with pytest.raises(BindError, match="the window of push holds none of the 5 sampler steps"):
        settled(part, model.clock, lambda asked: Window("logsnr", 90.0, 91.0))
    gated = bound(chosen_plan(gate=BEFORE), model).passes[0]
    with pytest.raises(BindError, match="nothing lies before the chosen window, where `gate` would end"):
        settled(gated, model.clock, lambda asked: None if asked == BEFORE else Window("logsnr", -FAR, 0.0))
    nothing_before = settled(part, model.clock, lambda asked: None if asked == BEFORE else Window("logsnr", -FAR, 0.0))
    assert [share.term.kind for share in nothing_before.met.shares] == ["push", "keep", "blank"]
