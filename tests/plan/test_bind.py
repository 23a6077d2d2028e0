"""A method that a model cannot carry out is refused from configs alone, in one line."""

from __future__ import annotations

import pytest

from tests.engine import plans
from tests.engine.plans import EARLY, LATE, WHOLE, erasure, fuse, plan, refine, steer, term
from tests.engine.toy import Toy
from tracelang.plan.bind import BindError, BoundPlan
from tracelang.plan.compile import compile
from tracelang.plan.family import ModelError
from tracelang.plan.layers import SelectionError
from tracelang.plan.types import Plan, RoleSites, Window
from tracelang.semantics.kinds import Cost

SITES = Toy().sites
QUERY, NARROW = RoleSites(role="query"), Window(unit="progress", low=0.501, high=0.502)
BOTH = (erasure("cat"), erasure("ship"))


def bound(p: Plan) -> BoundPlan:
    return plans.bound(p, Toy())


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (plan(BOTH, refine(on=QUERY)), "refine: layers.0.to_q.weight does not read prompt states alone"),
        (plan(BOTH, steer(label="a", gate=LATE), steer(label="b", gate=LATE)), "b: one gated pass per method"),
        (plan(BOTH, steer(label="a", gate=LATE), steer(label="b")), "b: one gated pass per method"),
        (plan(BOTH, steer(label="a"), steer(label="b", gate=LATE)), "b: one gated pass per method"),
        (plan(BOTH, steer(terms=(term("push", NARROW),))), "the window of push holds none of the 5 sampler steps"),
        (plan(BOTH, steer(terms=(term("keep"),)), preserve={}), "steer: no term has anything to train on"),
        (plan(BOTH, steer(terms=(term("push", weight=0),))), "steer: no term has anything to train on"),
        (plan(BOTH, steer(terms=())), "steer: no term has anything to train on"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(p: Plan, message: str) -> None:
    with pytest.raises(BindError, match=message) as error:
        bound(p)
    assert "\n" not in str(error.value)


def test_a_push_from_the_anchor_needs_one_of_every_concept() -> None:
    method = "define method far { steer { push as away { from = anchor } } } method far"
    assert bound(compile(f'erase "x" toward "y" {method}')).passes
    assert bound(compile(f'erase "x" toward "y" erase "z" degree 0% {method}')).passes
    with pytest.raises(BindError, match=r"^steer\.away: `from = anchor` needs an anchor of every") as error:
        bound(compile(f'erase "x" toward "y" erase "z" {method}'))
    assert error.value.at == "steer.away"


@pytest.mark.parametrize("method", ["ant", "ant_single", "esd", "esd_u", "mace", "stereo", "trace", "uce"])
def test_the_other_methods_bind(method: str) -> None:
    assert bound(compile(f'erase "x", "y" toward "z" preserve "k" method {method}')).passes


@pytest.mark.parametrize(
    "p",
    [
        plan(BOTH[:1], steer(on=QUERY), fuse()),
        plan(BOTH, steer(on=QUERY), fuse()),
        plan((BOTH[0], erasure("ship", degree=0)), steer(on=QUERY), fuse()),
        plan(BOTH, fuse(), steer(on=QUERY)),
        plan(BOTH, refine(), steer(gate=LATE), fuse()),
        plan(BOTH, steer(label="a"), steer(label="b"), fuse()),
        plan(BOTH, steer(terms=(term("push"), term("hold", NARROW, weight=0)))),
        plan(BOTH, steer(terms=(term("push"), term("keep", NARROW))), preserve={}),
    ],
)
def test_what_can_is_not(p: Plan) -> None:
    assert bound(p).passes


def test_a_bound_pass_knows_its_sites_windows_and_cost() -> None:
    p = plan(BOTH, refine(), steer(terms=(term("push", LATE), term("hold", EARLY)), gate=WHOLE))
    first, second = bound(p).passes
    assert first.sites == tuple(site for site in SITES if site.reads is not None) and first.cost.frozen == 0
    assert second.sites == tuple(site for site in SITES if site.text)
    assert [window.label for window in second.windows] == ["push", "hold", "gate"]
    assert second.windows[1].logsnr.high == second.windows[0].logsnr.low
    assert [(one.term.kind, one.rows) for one in second.met.shares] == [("push", 4), ("hold", 4)]
    assert second.window("gate") == second.windows[2].logsnr and first.window("gate") is None
    sampled, held = 2 * 6 * 5 * 2, 2 * 6 * 2  # what `hold` asks of the model after `refine`, at two sampler steps
    assert second.cost.trained == 12 * 8 * 2 and second.cost.frozen == sampled + held


def test_another_family_and_another_layer_are_refused_too() -> None:
    p = plan(BOTH, refine(on=RoleSites(role="text_in")))
    with pytest.raises(SelectionError, match="match nothing"):
        bound(p)
    with pytest.raises(ModelError, match="supports flux"):
        bound(p.model_copy(update={"recipe": p.recipe.model_copy(update={"supports": ("flux",)})}))


def test_fusing_mixed_inputs_costs_the_sampling_that_measures_them() -> None:
    kept = {"dog": 1.0}
    assert [part.cost for part in bound(plan(BOTH, steer(on=QUERY), fuse(), preserve=kept)).passes][1] == Cost(
        2 * 20 * (16 + 16 + 16), 0
    )
    for free in (plan(BOTH, steer(), fuse()), plan(BOTH[:1], steer(on=QUERY), fuse())):
        assert bound(free).passes[1].cost == Cost(0, 0)
