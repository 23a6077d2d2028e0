"""Training: what a step costs, that it repeats bit for bit, can stop anywhere, and leaves the model untouched."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tests.engine.plans import EARLY, LATE, WHOLE, bound, erasure, fuse, plan, refine, run, steer, term
from tests.engine.test_edit import same, weights
from tests.engine.toy import Toy
from tracelang.engine.edit import Edit, applied
from tracelang.engine.errors import EngineError
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.rollout import Start, Trajectories, judged_by, predictions
from tracelang.engine.training import rate
from tracelang.plan.bind import BindError
from tracelang.plan.types import Plan, ReadsSites, RoleSites, Window

CAT = plan((erasure("cat"),), refine(), steer())


def trained(p: Plan, model: Toy | None = None, **options: object) -> Edit:
    return run(p, model or Toy(), **{"cache": None, "autocast": False, **options})  # type: ignore[arg-type]


def identical(a: Edit, b: Edit) -> bool:
    return all(
        torch.equal(one.factors[site].up, other.factors[site].up)
        and torch.equal(one.factors[site].down, other.factors[site].down)
        for one, other in zip(a.adapters, b.adapters, strict=True)
        for site in one.factors
    )


Goal = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def error(model: Toy, prompt: str, toward: Goal, progress: float) -> float:
    """`‖pred_θ − target‖ / ‖pred° − target‖` at one place of sampling, on noise that training did not see."""
    frozen = Toy()
    x = frozen.noise(range(32))
    t, states = torch.full((32,), frozen.clock.time(progress)), frozen.encode([prompt] * 32)
    with torch.no_grad():
        c, e = frozen.predict(x, t, states), frozen.predict(x, t, frozen.encode([""] * 32))
        goal = toward(c, e)
        now = model.predict(x, t, states)
    return float((now - goal).norm() / (c - goal).norm())


def change(model: Toy, prompt: str, progress: float) -> float:
    frozen = Toy()
    x = frozen.noise(range(32))
    t, states = torch.full((32,), frozen.clock.time(progress)), frozen.encode([prompt] * 32)
    with torch.no_grad():
        c = frozen.predict(x, t, states)
        return float((model.predict(x, t, states) - c).norm() / c.norm())


def test_training_moves_the_concept_toward_its_target_and_not_the_preserved() -> None:
    terms = (term("push"), term("blank"), term("keep", weight=3))
    model = Toy()
    edit = trained(plan((erasure("cat"),), steer(steps=150, rank=4, terms=terms)), model)
    with applied(model, edit) as edited:
        assert error(edited, "a cat", lambda c, e: e - (c - e), 0.6) < 0.7
        assert change(edited, "a cat", 0.6) > 2 * max(
            change(edited, prompt, 0.6) for prompt in ("a dog", "a horse", "")
        )


def test_a_window_confines_the_change_with_a_gate_exactly() -> None:
    push = (term("push", LATE, label="push"),)
    model = Toy()
    gated = trained(plan((erasure("cat"),), steer(steps=80, terms=push, gate=LATE, sampler_steps=10)), model)
    open_ = trained(plan((erasure("cat"),), steer(steps=80, terms=push, sampler_steps=10)), model)
    with applied(model, gated) as edited:
        with_gate = [change(edited, "a cat", progress) for progress in (0.05, 0.8)]
    with applied(model, open_) as edited:
        without = [change(edited, "a cat", progress) for progress in (0.05, 0.8)]
    assert with_gate[0] < 0.02 * with_gate[1] and without[0] > 0.02 * without[1]
    assert gated.gate is not None


def test_hold_brings_the_early_change_down() -> None:
    def early(*terms: object) -> float:
        model = Toy()
        with applied(
            model, trained(plan((erasure("cat"),), steer(steps=100, terms=terms, sampler_steps=10)), model)
        ) as m:
            return change(m, "a cat", 0.05)

    assert early(term("push", LATE), term("hold", EARLY, 4.0)) < early(term("push", LATE))


def test_the_empty_prompt_is_trained_where_it_is_held() -> None:
    """In ANT's release for single concepts its terms have no gradient."""

    def drift(weight: float) -> float:
        model = Toy()
        terms = (term("push"), term("blank", weight=weight))
        with applied(model, trained(plan((erasure("cat"),), steer(steps=60, terms=terms), preserve={}), model)) as now:
            return change(now, "", 0.5)

    assert drift(3.0) < 0.6 * drift(0.0)


def test_a_step_is_one_student_call_and_the_model_is_what_it_was() -> None:
    model = Toy()
    before, flags = weights(model), [p.requires_grad for p in model.denoiser.parameters()]
    modules = [type(module) for module in model.denoiser.modules()]
    edit = trained(CAT, model)
    settings = CAT.method.passes[1]
    assert settings.kind == "steer"
    batch = 2 * settings.batch + settings.batch // 4
    assert model.evaluations[-settings.steps :] == [batch] * settings.steps
    sampled = (settings.trajectories + 2 * settings.trajectories) * settings.sampler_steps * 2
    sampled += settings.trajectories * 2  # what `hold` asks of the model after `refine`, at two sampler steps
    assert sum(model.evaluations) == sampled + settings.steps * batch
    (figures,) = edit.figures["steer"]
    assert figures["evaluations"] == {"frozen": sampled, "trained": settings.steps * batch, "steps": settings.steps}
    assert same(weights(model), before)
    assert [type(module) for module in model.denoiser.modules()] == modules
    assert [p.requires_grad for p in model.denoiser.parameters()] == flags
    assert not hasattr(model.denoiser, "peft_config")
    assert all(parameter.grad is None for parameter in model.denoiser.parameters())


def test_an_error_inside_training_leaves_the_model_alone_too() -> None:
    model = Toy()
    before = weights(model)

    def fail(what: str, done: int, of: int) -> None:
        if what.startswith("steering") and done == 3:
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        trained(CAT, model, progress=fail)
    assert same(weights(model), before) and not hasattr(model.denoiser, "peft_config")


ALONE = (term("push"), term("hold", EARLY))


@pytest.mark.parametrize(
    "p",
    [
        CAT,
        plan((erasure("cat", anchor=("truck",)), erasure("ship"), erasure("car", degree=0)), steer(refresh=4), fuse()),
        plan((erasure("cat"), erasure("ship")), refine(), steer(refresh=5), fuse()),
        plan((erasure("beer", "child"),), steer(terms=ALONE, refresh=3, batch=1)),
        plan((erasure("cat"),), steer(terms=(*ALONE, term("blank"))), steer(label="again", trajectories=1)),
        plan((erasure("cat"),), steer(terms=(*ALONE, term("blank"), term("keep"))), preserve={}),
        plan((erasure("cat"),), steer(trajectories=1), preserve={name: 1.0 for name in "abcdefg"}),
        plan((erasure("cat", degree=0),), steer()),
    ],
    ids=[
        "plain",
        "refresh",
        "refined, refreshed",
        "nothing kept",
        "two passes",
        "nothing preserved",
        "many members",
        "no-op",
    ],
)
def test_the_cost_of_a_plan_is_what_applying_it_takes(p: Plan) -> None:
    model = Toy()
    edit = trained(p, model)
    costs = [part.cost for part in bound(p, model).passes if part.kind == "steer"]
    assert sum(one.frozen + one.trained for one in costs) == sum(model.evaluations)
    told = [one["evaluations"] for label in ("steer", "again") for one in edit.figures.get(label, ())]
    for kind in ("frozen", "trained"):
        assert sum(one[kind] for one in told) == sum(getattr(one, kind) for one in costs)


def test_preserved_trajectories_are_sampled_for_the_terms_that_need_them_only() -> None:
    few, many = Toy(), Toy()
    trained(plan((erasure("cat"),), steer(terms=ALONE)), few)
    trained(plan((erasure("cat"),), steer(terms=(*ALONE, term("blank")))), many)
    sampled = [sum(model.evaluations[:-12]) for model in (few, many)]
    assert sampled == [6 * 5 * 2, (6 + 12) * 5 * 2]


def test_bfloat16_is_used_where_it_pays_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for pays in (True, False):
        monkeypatch.setattr("tracelang.engine.run.bfloat16_pays", lambda model, pays=pays: pays)
        edit, forced = trained(CAT, autocast=None), trained(CAT, autocast=pays)
        assert identical(edit, forced) and not identical(edit, trained(CAT, autocast=not pays))
        assert edit.figures["steer"][0]["autocast"] is pays


def test_bfloat16_pays_on_a_processor_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model, half, elsewhere = Toy(), Toy(), Toy()
    half.dtype, elsewhere.device = torch.float16, torch.device("cuda")
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: True)
    monkeypatch.setattr("tracelang.engine.precision.NATIVE", ("_no_such_check", "_one"))
    monkeypatch.setattr("torch.cpu._one", lambda: True, raising=False)
    assert [bfloat16_pays(one) for one in (model, half, elsewhere)] == [True, False, False]
    monkeypatch.setattr("torch.cpu._one", lambda: False, raising=False)
    assert not bfloat16_pays(model)


def test_a_matrix_of_zeros_has_no_relative_change() -> None:
    model = Toy()
    site = model.sites[0]
    model.weight(site).data.zero_()
    found = trained(plan((erasure("cat"),), steer()), model).figures["steer"][0]["change"]
    assert found.pop(site.tensor) is None and min(found.values()) > 0


def test_two_erasures_with_the_same_words_train_apart() -> None:
    p = plan((erasure("cat"), erasure("pet")), steer())
    words = p.concept("cat").names
    same_words = tuple(c.model_copy(update={"names": words}) if c.name == "pet" else c for c in p.concepts)
    edit = trained(p.model_copy(update={"concepts": same_words}))
    assert [one.label for one in edit.adapters] == ["cat", "cat"]
    assert [one.targets for one in edit.adapters] == [(("cat",),), (("pet",),)]
    assert not identical(Edit(adapters=edit.adapters[:1]), Edit(adapters=edit.adapters[1:]))


@pytest.mark.parametrize("options", [{}, {"autocast": True}])
def test_a_run_repeats_bit_for_bit_and_only_for_its_seed(options: dict[str, bool]) -> None:
    first = trained(CAT, **options)
    torch.manual_seed(123)
    torch.rand(7)
    assert identical(first, trained(CAT, **options))
    assert not identical(first, trained(plan((erasure("cat"),), refine(), steer(seed=1)), **options))


def test_a_concept_trains_the_same_alone_and_in_company() -> None:
    together = trained(plan((erasure("cat"), erasure("ship")), steer()))
    alone = trained(plan((erasure("cat"),), steer()))
    assert identical(Edit(adapters=together.adapters[:1]), alone)


def test_the_cache_changes_no_bit(tmp_path: Path) -> None:
    first, second = Toy(), Toy()
    a, b = trained(CAT, first, cache=tmp_path), trained(CAT, second, cache=tmp_path)
    assert identical(a, b) and identical(a, trained(CAT)) and a.figures == b.figures
    assert len(second.evaluations) == 2 + 12 < len(first.evaluations)  # what `hold` asks, and the training


def test_a_stop_while_sampling_loses_one_batch_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracelang.engine.rollout.ELEMENTS", 4 * Toy().noise([0]).numel())  # batches of four
    whole = trained(CAT)
    told: list[tuple[int, int]] = []

    def stop(what: str, done: int, of: int) -> None:
        told.append((done, of))
        if len(told) == 5 + 2:  # the second batch of the erased prompt's six has begun
            raise KeyboardInterrupt

    model = Toy()
    with pytest.raises(KeyboardInterrupt):
        trained(CAT, model, progress=stop, cache=tmp_path)
    assert told == [(i + 1, 10) for i in range(7)] and len(list(tmp_path.iterdir())) == 1
    again = Toy()
    assert identical(trained(CAT, again, cache=tmp_path), whole)
    assert again.evaluations[0] == 4 and again.evaluations.count(8) == 3 * 5  # two rows left, then three batches


class Stop:
    def __init__(self, *at: int) -> None:
        self.at = list(at)

    def __call__(self, what: str, done: int, of: int) -> None:
        if what.startswith("steering") and self.at and done == self.at[0]:
            self.at.pop(0)
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("refresh", [0, 5])
def test_a_run_that_was_interrupted_twice_ends_bit_for_bit_like_one_that_was_not(refresh: int, tmp_path: Path) -> None:
    p = plan((erasure("cat"), erasure("ship")), refine(), steer(steps=14, refresh=refresh), fuse())
    whole = trained(p)
    stop = Stop(7, 5)
    for steps in (7, 7 + 5):
        model = Toy()
        before = weights(model)
        with pytest.raises(KeyboardInterrupt):
            trained(p, model, progress=stop, state_dir=tmp_path)
        assert same(weights(model), before)
        assert model.evaluations.count(18) == steps  # the second run went on where the first one stopped
    assert stop.at == []
    model = Toy()
    resumed = trained(p, model, state_dir=tmp_path)
    assert identical(whole, resumed) and resumed.figures == whole.figures
    again = Toy()
    last = trained(p, again, state_dir=tmp_path)
    assert identical(whole, last) and last.figures == whole.figures and again.evaluations == []


def test_figures_are_whole_where_one_concept_was_done_and_the_next_not_begun(tmp_path: Path) -> None:
    p = plan((erasure("cat"), erasure("ship")), steer())
    whole = trained(p)
    with pytest.raises(KeyboardInterrupt):
        trained(p, progress=Stop(12), state_dir=tmp_path)
    (done,) = tmp_path.iterdir()
    resumed = trained(p, state_dir=tmp_path)
    assert done.name == "steer-0.safetensors" and resumed.figures == whole.figures
    assert len(whole.figures["steer"][0]["loss"]) == 12


def test_a_state_of_another_plan_or_way_or_a_damaged_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(CAT, progress=Stop(3), state_dir=tmp_path)
    with monkeypatch.context() as other, pytest.raises(EngineError, match="belongs to another plan"):
        other.setattr("tracelang.engine.task.TRAINING", 1)
        trained(CAT, state_dir=tmp_path)
    with pytest.raises(EngineError, match="belongs to another plan"):
        trained(plan((erasure("cat"),), refine(), steer(rate=2e-2)), state_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(EngineError, match="cannot be read"):
        trained(CAT, state_dir=tmp_path)


def test_a_state_under_an_older_fingerprint_is_said_to_be_that(tmp_path: Path) -> None:
    """Bare digits before, `scheme:digits` now: not another model, another name for it."""
    with pytest.raises(KeyboardInterrupt):
        trained(CAT, progress=Stop(3), state_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    model = Toy()
    model.fingerprint = f"2:{model.fingerprint}"
    with pytest.raises(EngineError, match="older fingerprint; delete it to start again"):
        trained(CAT, model, state_dir=tmp_path)
    file.unlink()
    with pytest.raises(KeyboardInterrupt):
        trained(CAT, model, progress=Stop(3), state_dir=tmp_path)
    model.fingerprint = model.fingerprint[:-1]
    with pytest.raises(EngineError, match="belongs to another plan or model"):
        trained(CAT, model, state_dir=tmp_path)


def test_refreshed_trajectories_come_from_the_student_and_are_judged_by_the_teacher() -> None:
    model = Toy()
    settings = steer(steps=6, refresh=2)
    edit = trained(plan((erasure("cat"),), refine(), settings), model)
    once = (6 + 12) * 5 * 2
    sampled = once + 2 * 2 * once + 3 * 6 * 2  # and three times what `hold` asks of the model after `refine`
    assert edit.figures["steer"][0]["evaluations"]["frozen"] == sampled
    assert sum(model.evaluations) == sampled + 6 * 18
    assert not identical(edit, trained(plan((erasure("cat"),), refine(), steer(steps=6))))


def test_on_refreshed_trajectories_the_teacher_is_the_original_model(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []

    def compare(model: Toy, visited: Trajectories, group: Sequence[Start], progress: object) -> Trajectories:
        judged = judged_by(model, visited, group)
        original = judged_by(Toy(), visited, group)
        assert torch.equal(judged.conditional, original.conditional) and torch.equal(judged.empty, original.empty)
        checked.append(float((judged.conditional - visited.conditional).norm() / original.conditional.norm()))
        return judged

    monkeypatch.setattr("tracelang.engine.training.judged_by", compare)
    trained(plan((erasure("cat"),), refine(), steer(steps=6, refresh=3)))
    assert len(checked) == 2 and min(checked) > 1e-3  # control: the student predicts something else there


@pytest.mark.parametrize("refresh", [0, 3])
def test_hold_asks_for_the_model_that_the_earlier_passes_left(refresh: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, loss = [], []

    def compare(model: Toy, paths: Trajectories, steps: Sequence[int], progress: object) -> torch.Tensor:
        found = predictions(model, paths, steps=steps)
        refined = Toy()
        with applied(refined, trained(plan((erasure("cat"),), refine()))):
            assert torch.allclose(found, predictions(refined, paths, steps=steps), atol=1e-6)
        asked.append(float((found - paths.conditional[:, list(steps)]).norm() / found.norm()))
        return found

    monkeypatch.setattr("tracelang.engine.training.predictions", compare)
    terms = (term("hold", EARLY),)
    for passes in ((refine(),), ()):
        edit = trained(plan((erasure("cat"),), *passes, steer(steps=6, refresh=refresh, terms=terms)))
        loss += edit.figures["steer"][0]["loss"]
    assert len(asked) == (2 if refresh else 1) and min(asked) > 1e-3  # control: the original predicts something else
    assert max(loss) < 1e-8  # an adapter that does nothing is what it asks for, with and without `refine`


def test_preserved_trajectories_are_sampled_once_for_all_concepts() -> None:
    edit = trained(plan((erasure("cat"), erasure("ship")), steer()))
    frozen = [figures["evaluations"]["frozen"] for figures in edit.figures["steer"]]
    assert frozen == [(6 + 12) * 5 * 2, 6 * 5 * 2]


def test_concepts_at_degree_zero_are_not_trained() -> None:
    edit = trained(plan((erasure("cat", degree=0), erasure("ship")), steer()))
    assert [adapter.label for adapter in edit.adapters] == ["ship"]


def test_the_rate_warms_up_and_comes_down() -> None:
    settings = steer(steps=400, rate=1e-3)
    rates = [rate(step, settings, settings.steps) for step in range(400)]
    assert rates[0] < 1e-4 and max(rates) == pytest.approx(1e-3, rel=0.01) and rates[-1] < 1e-7
    assert rates.index(max(rates)) == 19


def test_what_a_model_cannot_express_is_an_error() -> None:
    with pytest.raises(BindError, match=r"to_q\.weight does not read prompt states alone"):
        trained(plan((erasure("cat"),), refine(on=RoleSites(role="query"))))
    narrow = Window(unit="progress", low=0.5, high=0.51)
    with pytest.raises(BindError, match="holds none of the 5 sampler steps"):
        trained(plan((erasure("cat"),), steer(terms=(term("push", narrow),))))
    for gates in ((None, WHOLE), (WHOLE, WHOLE), (WHOLE, None), (LATE, WHOLE)):
        twice = (steer(label=label, gate=gate, steps=1) for label, gate in zip("ab", gates, strict=True))
        with pytest.raises(BindError, match="b: one gated pass per method"):
            trained(plan((erasure("cat"),), *twice))
    for terms in ((term("keep"),), (term("push", weight=0),), ()):
        with pytest.raises(BindError, match="steer: no term has anything to train on"):
            trained(plan((erasure("cat"),), steer(terms=terms), preserve={}))
    with pytest.raises(EngineError, match="the loss of 'cat' is not finite"):
        trained(plan((erasure("cat"),), steer(on=ReadsSites(reads="text"), terms=(term("push", strength=1e30),))))
