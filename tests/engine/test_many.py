"""Several concepts in one adapter, and all the adapters of several as one, on every site."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.engine.plans import bound, erasure, fuse, plan, refine, run, steer, term
from tests.engine.test_edit import same, weights
from tests.engine.test_steer import ALONE, Stop, change, error, identical, trained
from tests.engine.toy import Toy
from tracelang.cli import main
from tracelang.cli.foreseen import UNREACHED
from tracelang.engine.adversary import Finds, adversary
from tracelang.engine.batch import draw_batch, slots
from tracelang.engine.edit import applied
from tracelang.engine.options import Options
from tracelang.engine.rollout import encoder, record, starts
from tracelang.engine.task import task_of
from tracelang.models.locate import family_of, locate
from tracelang.models.protocol import Model
from tracelang.plan.layers import select
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Plan, RoleSites, Union

CAT_AND_SHIP = (erasure("cat", anchor=("truck",)), erasure("ship", degree=0.5))
ROLES = ("query", "key", "value", "out", "feedforward")
EVERYWHERE = Union(members=tuple(RoleSites(role=role) for role in ROLES))


def joint(**changes: object) -> Plan:
    return plan(CAT_AND_SHIP, refine(), steer(adapters="joint", **changes), fuse())


def test_one_adapter_moves_each_concept_toward_its_own_target_and_not_the_preserved() -> None:
    terms = (term("push"), term("blank"), term("keep", weight=3))
    model = Toy()
    both = (erasure("cat"), erasure("ship", anchor=("truck",)))
    edit = trained(plan(both, steer(adapters="joint", steps=150, rank=8, terms=terms)), model)
    (one,) = edit.adapters
    assert (one.targets, one.label) == ((("cat",), ("ship",)), "cat, ship")
    with applied(model, edit) as edited:
        assert error(edited, "a cat", lambda c, e: e - (c - e), 0.6) < 0.8
        moved = [change(edited, prompt, 0.6) for prompt in ("a cat", "a ship")]
        assert min(moved) > 1.5 * max(change(edited, prompt, 0.6) for prompt in ("a dog", "a horse", ""))


def test_rows_are_dealt_evenly_over_the_concepts_each_with_its_own_anchor_and_degree() -> None:
    model, settings = Toy(), steer(batch=3, sampler_steps=4, terms=(term("push"), term("blank")))
    own = [record(model, starts([[pair]], 3, "train", 0), 4, 3.0) for pair in (("a cat", "a dog"), ("a ship", None))]
    (share, *_) = parts = slots(settings, bound(plan(CAT_AND_SHIP, settings), model).passes[0].met.shares, model.clock)
    seen: Counter[str] = Counter()
    for i in range(20):
        drawn = draw_batch(parts, own, None, torch.empty(0), [1.0, 0.5], torch.Generator().manual_seed(i))
        mine = Counter(drawn.prompts[: share.rows])
        assert sorted(mine.values()) == [1, 2] and set(drawn.prompts[share.rows :]) == {""}
        seen.update(mine)
    assert abs(seen["a cat"] - seen["a ship"]) < 12
    with torch.no_grad():
        for x, t, prompt, goal in zip(drawn.latents, drawn.times, drawn.prompts, drawn.targets, strict=True):
            c, e, y = (model.predict(x[None], t[None], model.encode([p]))[0] for p in (prompt, "", "a dog"))
            expected = {"a cat": y - (c - e), "a ship": c + 0.5 * (e - (c - e) - c), "": e}[prompt]
            assert torch.allclose(goal, expected, atol=1e-4)


def test_a_joint_adapter_of_one_concept_is_that_concepts_own() -> None:
    one = (erasure("cat"), erasure("ship", degree=0.0))
    assert identical(trained(plan(one, steer(adapters="joint"))), trained(plan(one, steer())))


@pytest.mark.parametrize(
    "p",
    [joint(), joint(refresh=4), joint(terms=ALONE), plan(CAT_AND_SHIP[:0], steer(adapters="joint"))],
    ids=["plain", "refreshed", "nothing kept", "nothing erased"],
)
def test_its_cost_is_what_applying_it_takes(p: Plan) -> None:
    model = Toy()
    edit = trained(p, model)
    parts = bound(p, model).passes
    assert sum(one.cost.frozen + one.cost.trained for one in parts) == sum(model.evaluations)
    told = [one["evaluations"] for one in edit.figures.get("steer", ())]
    assert sum(one["frozen"] + one["trained"] for one in told) == sum(model.evaluations)


def test_it_stops_anywhere_and_takes_trajectories_that_separate_trainings_left(tmp_path: Path) -> None:
    p = joint(steps=14, refresh=5)
    whole = trained(p)
    with pytest.raises(KeyboardInterrupt):
        trained(p, progress=Stop(7), state_dir=tmp_path / "state")
    resumed = trained(p, state_dir=tmp_path / "state")
    assert identical(whole, resumed) and resumed.figures == whole.figures
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["steer-0.safetensors"]
    trained(plan(CAT_AND_SHIP, steer()), cache=tmp_path / "cache")
    model = Toy()
    trained(plan(CAT_AND_SHIP, steer(adapters="joint")), model, cache=tmp_path / "cache")
    assert len(model.evaluations) == 2 * 12  # the training alone
    assert "ship" in json.dumps(whole.figures) and whole.figures["steer"][0]["targets"] == (("cat",), ("ship",))


@cache
def real(name: str) -> Model:
    folder = locate(name)
    return family_of(folder).load(folder, "cpu", "float32")


@pytest.mark.parametrize("name", ["micro-sd", "micro-flux"])
def test_every_site_of_a_real_model_is_trained_for_several_and_fused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracelang.engine.activations.CALIBRATION_STEPS", 4)
    monkeypatch.setattr("tracelang.semantics.passes.fuse.CALIBRATION", 2)
    model = real(name)
    roles = {site.role for site in model.sites}
    on = Union(members=tuple(one for one in EVERYWHERE.members if one.role in roles))
    few = steer(on=on, steps=2, batch=2, trajectories=2, sampler_steps=4)
    before = weights(model)
    p = plan((erasure("cat"), erasure("ship")), few, fuse(ridge=0.01), preserve={"dog": 1.0})
    (fused,) = (edit := run(p, model, cache=None, autocast=False)).adapters
    assert set(fused.factors) == set(select(on, model.sites)) and any(site.reads is None for site in fused.factors)
    assert all(change.up.isfinite().all() and change.rank == 4 for change in fused.factors.values())
    assert edit.figures["fuse"] == {"fused": 2} and same(weights(model), before)
    together = plan(p.erase, replace(few, adapters="joint"), fuse(), preserve={"dog": 1.0})
    (one,) = run(together, model, cache=None, autocast=False).adapters
    assert one.targets == fused.targets and {change.rank for change in one.factors.values()} == {2}


PAIR = """
templates plain = "a picture of a {}", "a drawing of a {}", "a {}"
concept cat { names "cat"  templates plain }
concept truck { names "truck"  templates plain }
preserve "tree", "house", "key"
method uce { refine.ridge_absolute = none }
"""


def test_what_a_closed_form_leaves_undone_of_a_pair_plan_says_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def planned(statement: str, *more: str) -> str:
        Path("r.erase").write_text(f"{statement}\n{PAIR}", "utf-8")
        result = CliRunner().invoke(main, ["plan", "r.erase", "--model", "micro-sd", *more], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    for what in ("cat", "cat & truck"):
        (left,) = json.loads(planned(f"erase {what}", "--json"))["residual"].items()
        assert left[0] == what and 0 < left[1] < 1
        with monkeypatch.context() as other:
            for high, mark in ((left[1] - 0.01, UNREACHED), (left[1] + 0.01, "")):
                other.setattr("tracelang.cli.foreseen.HIGH", high)
                assert f"{left[1]:.2%}  {what}{mark}\n" in planned(f"erase {what}")


def test_a_pair_trains_on_every_site_on_its_own_prompts() -> None:
    model = real("micro-sd")
    p = plan((erasure("cat", "truck"),), steer(on=EVERYWHERE, steps=2, batch=2, trajectories=2, sampler_steps=4))
    task = task_of(bound(p, model).passes[0], p, model, p.active, 0, Options())
    assert {start.prompt for start in task.erased[0].starts} <= {
        prompt.text for prompt in edit_prompts(p, ("cat", "truck"))
    }
    assert task.label == "cat and truck" and set(task.sites) == set(select(EVERYWHERE, model.sites))
    (one,) = run(p, model, cache=None, autocast=False).adapters
    assert one.targets == (("cat", "truck"),) and all(change.norm() > 0 for change in one.factors.values())


def test_an_adversary_searches_for_each_in_turn_and_what_it_finds_takes_rows_of_that_concept_alone(
    tmp_path: Path,
) -> None:
    model = Toy()
    found = {"adversary": ("word",), "adversary_steps": 2, "adversary_every": 3, "adversary_share": 1.0}
    p = plan((erasure("cat"), erasure("ship")), steer(adapters="joint", **found))
    task = task_of(bound(p, model).passes[0], p, model, p.active, 0, Options())
    own = [record(model, one.starts, task.settings.sampler_steps, task.guidance) for one in task.erased]
    made = adversary(task, model, encoder(model, [*task.prompts, None]), list(model.denoiser.parameters()), Finds())
    assert made is not None
    finds = Finds()
    for step in (0, 3, 6):
        finds, _ = made.searched(model, own, finds, step)
    assert [one.of for one in finds.pool] == [0, 1, 0] == [one.of for one in Finds.unpacked(finds.packed()).pool]
    prompts = ["a ship", "the cat here"] * (task.slots[0].rows // 2)
    rows = [*prompts, *[""] * (sum(slot.rows for slot in task.slots) - len(prompts))]
    plain = made.encode([prompt or None for prompt in rows])
    planted = made.planted(plain, rows, replace(finds, pool=finds.pool[1:]), 0).inputs["tokens"]
    for i, prompt in enumerate(prompts):
        mine = finds.pool[1 if "ship" in prompt else 2]
        assert torch.equal(planted[i], made._with(mine, prompt, False).inputs["tokens"][0])
    whole = trained(p)
    with pytest.raises(KeyboardInterrupt):
        trained(p, progress=Stop(10), state_dir=tmp_path)
    resumed = trained(p, Toy(), state_dir=tmp_path)
    assert identical(whole, resumed) and resumed.figures == whole.figures
    asked = [one["evaluations"]["frozen"] + one["evaluations"]["trained"] for one in whole.figures["steer"]]
    assert asked == [part.cost.frozen + part.cost.trained for part in bound(p, model).passes]
