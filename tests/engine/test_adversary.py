"""Training against an adversary: what a search finds, that it stays in bounds, costs what is foretold, and repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tracelang
from tests.engine.plans import LATE, bound, erasure, plan, refine, run, steer, term
from tests.engine.test_steer import Stop, identical, trained
from tests.engine.toy import Toy
from tracelang.checkpoint import forms
from tracelang.engine import run as engine
from tracelang.engine.adversary import POOL, Adversary, Finds, adversary
from tracelang.engine.batch import draw_batch
from tracelang.engine.found import Found
from tracelang.engine.options import Options
from tracelang.engine.predicted import closed_forms
from tracelang.engine.rollout import encoder, record
from tracelang.engine.task import Task, task_of
from tracelang.models.protocol import TextStates
from tracelang.plan.bind import BindError
from tracelang.plan.types import Plan, RoleSites
from tracelang.semantics.passes.rotate import Rotate
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion

FAST: dict[str, Any] = {"adversary_length": 2, "adversary_steps": 5, "adversary_every": 3, "adversary_rate": 0.3}
KINDS = ("prefix", "states", "word")


def against(*kinds: str, **changes: Any) -> Plan:
    return plan((erasure("cat"),), refine(), steer(**{**FAST, "adversary": kinds, **changes}))


def foe(p: Plan, model: Toy) -> tuple[Task, Adversary, Any]:
    """The adversary of a training that has not begun, and the trajectories that it searches on."""
    part = bound(p, model).passes[-1]
    task = task_of(part, p, model, p.active, 0, Options())
    erased = record(model, task.erased[0].starts, task.settings.sampler_steps, task.guidance)
    made = adversary(task, model, encoder(model, [*task.prompts, None]), list(model.denoiser.parameters()), Finds())
    assert made is not None
    return task, made, erased


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_brings_the_prediction_back(kind: str) -> None:
    """On a model that answers the concept's name as it answers nothing."""
    model = Toy()
    edit = trained(plan((erasure("cat"),), steer(steps=60, terms=(term("push", strength=0.0),))), model)
    _, made, erased = foe(against(kind, adversary_steps=40), model)
    flags = [p.requires_grad for p in model.denoiser.parameters()]
    patch = edit.to(model)
    try:
        finds, asked = made.searched(model, [erased], Finds(), 0)
    finally:
        patch.undo()
    (search,) = finds.searches
    assert search.kind == kind and search.after < 0.9 * search.before
    assert asked == {"trained": 40 * made.pushed.rows, "frozen": made.pushed.rows}
    assert [p.requires_grad for p in model.denoiser.parameters()] == flags
    assert all(p.grad is None for p in model.denoiser.parameters())


def test_found_states_have_norms_of_real_ones() -> None:
    model = Toy()
    task, made, erased = foe(against("states", adversary_rate=10.0), model)
    real = torch.cat([model.encode([text]).inputs["tokens"][0, 1:] for text in task.prompts]).norm(dim=-1)
    finds, _ = made.searched(model, [erased], Finds(), 0)
    norms = finds.pool[0].value.norm(dim=-1)
    assert norms.min() >= real.min() - 1e-4 and norms.max() <= real.max() + 1e-4
    free, _ = replace(made, longest=1e9).searched(model, [erased], Finds(), 0)
    assert free.pool[0].value.norm(dim=-1).max() > real.max()  # control: the bound is what holds them


def test_a_share_of_push_and_keep_gets_what_was_found_and_nothing_else_does() -> None:
    model = Toy()
    task, made, erased = foe(against("states", adversary_share=0.5), model)
    kept = record(model, task.kept, task.settings.sampler_steps, task.guidance)
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(task.slots, [erased], kept, task.kept_weights, [1.0], generator)
    plain = made.encode([prompt or None for prompt in batch.prompts])
    assert made.planted(plain, batch.prompts, Finds(), 0) is plain
    finds, _ = made.searched(model, [erased], Finds(), 0)
    planted = made.planted(plain, batch.prompts, finds, 0)
    moved = (planted.inputs["tokens"] != plain.inputs["tokens"]).flatten(1).any(1)
    rows = {}
    begin = 0
    for slot in task.slots:
        rows[slot.term.kind] = int(moved[begin : begin + slot.rows].sum()), slot.rows
        begin += slot.rows
    assert not finds.pool[0].encoded  # states cost no encoder, so that none are kept
    assert rows["push"] == (2, 4) and rows["keep"] == (4, 8) and rows["hold"][0] == rows["blank"][0] == 0


def test_a_word_stands_in_for_the_concept_and_beside_what_is_preserved() -> None:
    model = Toy()
    _, made, _ = foe(against("word", "prefix"), model)
    again = Found("word", model.embedding[[model.id("dog")]])
    assert same(made._with(again, "the cat here", False), model.encode(["the dog here"]))
    assert same(made._with(again, "a horse", True), model.encode(["a horse dog"]))
    before = Found("prefix", model.embedding[[model.id("one"), model.id("two")]])
    assert same(made._with(before, "the cat here", False), model.encode(["the one two cat here"]))


def test_without_an_adversary_a_run_has_the_bits_it_had_and_its_figures_say_nothing_of_one() -> None:
    plain = trained(plan((erasure("cat"),), refine(), steer()))
    without = trained(plan((erasure("cat"),), refine(), steer(**FAST)))
    assert identical(plain, without) and "adversary" not in plain.figures["steer"][0]
    assert not identical(plain, trained(against("states")))


@pytest.mark.parametrize("kinds", [("states",), ("word",), KINDS])
def test_applying_takes_what_the_plan_says_and_the_figures_have_every_search(kinds: tuple[str, ...]) -> None:
    p, model = against(*kinds, adversary_after=2), Toy()
    edit = trained(p, model)
    (figures,) = edit.figures["steer"]
    cost = bound(p, model).passes[-1].cost
    assert (figures["evaluations"]["frozen"], figures["evaluations"]["trained"]) == (cost.frozen, cost.trained)
    assert sum(model.evaluations) == cost.frozen + cost.trained
    assert [one["step"] for one in figures["adversary"]] == [2, 5, 8, 11]
    assert [one["kind"] for one in figures["adversary"]] == [kinds[i % len(kinds)] for i in range(4)]


def test_the_pool_holds_the_last_of_them() -> None:
    model = Toy()
    _, made, erased = foe(against("states", adversary_every=1, adversary_steps=1), model)
    finds = Finds()
    for step in range(POOL + 2):
        finds, _ = made.searched(model, [erased], finds, step)
    assert len(finds.pool) == POOL and len(finds.searches) == POOL + 2
    again = Finds.unpacked(finds.packed())
    assert again.searches == finds.searches
    assert all(torch.equal(a.value, b.value) and a.kind == b.kind for a, b in zip(again.pool, finds.pool, strict=True))


def test_a_search_in_parts_finds_the_same_but_for_the_order_of_sums() -> None:
    p = against("states", adversary_steps=3)
    whole, parts = (trained(p, **{"micro_batch": rows}).figures["steer"][0]["adversary"] for rows in (None, 3))
    for one, other in zip(whole, parts, strict=True):
        assert one["after"] == pytest.approx(other["after"], rel=1e-3)


def test_a_run_against_an_adversary_that_was_interrupted_ends_bit_for_bit_like_one_that_was_not(tmp_path: Path) -> None:
    p = against(*KINDS)
    whole = trained(p)
    stop = Stop(4, 9)  # between two searches, and where one is due
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trained(p, progress=stop, state_dir=tmp_path)
    ended = trained(p, state_dir=tmp_path)
    assert identical(whole, ended) and ended.figures == whole.figures
    assert trained(p, state_dir=tmp_path).figures == whole.figures  # read back from the finished state


def test_an_adversary_that_has_nothing_to_do_is_refused() -> None:
    def refused(**changes: Any) -> str:
        with pytest.raises(BindError) as caught:
            bound(against("states", **changes), Toy())
        return str(caught.value)

    assert refused(terms=(term("keep"),)).endswith("an adversary has nothing to search on: give `push` a weight")
    late = refused(adversary_after=12)
    assert late == "steer: the adversary would begin after step 12 of 12; lower `adversary_after`"


MICRO = """
concept cat { names "cat" } concept dog { names "dog" }
erase cat toward "deer" preserve dog
define method m {
  steer {
    steps = 3  batch = 2  trajectories = 2  sampler_steps = 2
    adversary = prefix, states, word  adversary_length = 3
    adversary_every = 1  adversary_steps = 6  adversary_rate = 0.3
    push {} blank {} keep {}
  }
}
method m
"""


@pytest.mark.parametrize(("name", "load"), [("micro-sd", StableDiffusion().load), ("micro-flux", Flux().load)])
def test_searches_go_through_the_text_encoders_of_every_family(name: str, load: Callable[..., Any]) -> None:
    bound = tracelang.bind(tracelang.compile(MICRO), name)
    model = load(bound.folder, "cpu", "float32")
    edit = engine.run(bound.on_model, model, cache=None, autocast=False)
    (figures,) = edit.figures["steer"]
    cost = bound.passes[0].cost
    assert (figures["evaluations"]["frozen"], figures["evaluations"]["trained"]) == (cost.frozen, cost.trained)
    assert [one["kind"] for one in figures["adversary"]] == list(KINDS)
    assert all(one["after"] < one["before"] for one in figures["adversary"])


def same(a: TextStates, b: TextStates) -> bool:
    return all(torch.allclose(a.inputs[name], b.inputs[name], atol=1e-6) for name in a.inputs)


SEARCHED = steer(label="first", terms=(term("push", strength=0), term("keep")), adversary=("word",), adversary_steps=2)
ANEW = steer(label="second", from_="base", terms=(term("push", strength=3), term("keep")), adversary_share=0.75)


def test_a_second_stage_begins_at_the_base_with_what_the_first_one_found() -> None:
    model = Toy()
    p = plan((erasure("cat"),), refine(), SEARCHED, ANEW)
    edit = run(p, model, cache=None, autocast=False)
    assert [adapter.label for adapter in edit.adapters] == ["cat"] and not edit.maps
    (first,), (second,) = edit.figures["first"], edit.figures["second"]
    assert first["adversary"] and second["carried"] == len(edit.found[("cat",)]) == len(first["adversary"])
    assert {part.kind for part in edit.found[("cat",)]} == {"word"}
    costs = [part.cost for part in bound(p, model).passes]
    assert sum(one.frozen + one.trained for one in costs) == sum(model.evaluations)
    assert [one["evaluations"]["trained"] for one in (first, second)] == [one.trained for one in costs[1:]]
    alone = run(plan((erasure("cat"),), replace(ANEW, from_="before")), Toy(), cache=None, autocast=False)
    assert not identical(edit, alone), "the words found are among what is erased"


@pytest.mark.parametrize("between", [steer(label="between", steps=2), replace(SEARCHED, label="between", steps=4)])
def test_what_every_pass_before_it_found_is_carried(between: Any) -> None:
    edit = run(plan((erasure("cat"),), SEARCHED, between, ANEW), Toy(), cache=None, autocast=False)
    found = sum(len(edit.figures[label][0].get("adversary", ())) for label in ("first", "between"))
    assert edit.figures["second"][0]["carried"] == len(edit.found[("cat",)]) == found
    assert found == 2 + bool(between.adversary)


def test_what_is_thrown_away_counts_for_nothing_in_the_end() -> None:
    """No figure of a closed form before it, none of its layers, and no word against a LoRA."""
    model, turned = Toy(), Rotate(prior=0.0)
    p = plan((erasure("cat", anchor=("horse",)),), turned, SEARCHED, replace(ANEW, on=RoleSites(role="query")))
    kept = plan((erasure("cat", anchor=("horse",)),), turned, SEARCHED)
    assert not closed_forms(bound(p, model)) and forms.whole(p) == ""
    assert closed_forms(bound(kept, model)) and forms.whole(kept) == "rotate"
    assert {site.role for site in bound(p, model).sites} == {"query"}


def test_a_second_stage_goes_on_bit_for_bit(tmp_path: Path) -> None:
    p = plan((erasure("cat"),), SEARCHED, ANEW)
    whole = run(p, Toy(), cache=None, autocast=False)
    seen: list[int] = []

    def stop(what: str, done: int, of: int) -> None:
        seen.append(done)
        if what.startswith("steering") and done == 5 and seen.count(5) >= 2 and len(seen) > of:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(p, Toy(), cache=None, autocast=False, state_dir=tmp_path, progress=stop)
    again = run(p, Toy(), cache=None, autocast=False, state_dir=tmp_path)
    assert identical(whole, again) and whole.figures == again.figures


def test_beginning_anew_needs_something_found() -> None:
    for terms in ((term("suppress"),), (term("push", weight=0.0), term("keep"))):
        with pytest.raises(BindError, match=r"^second: what was found has no rows to stand in: give `push` a weight"):
            bound(plan((erasure("cat"),), SEARCHED, replace(ANEW, terms=terms)), Toy())
    for passes in ((ANEW,), (refine(), ANEW), (steer(label="first"), ANEW)):
        with pytest.raises(BindError, match=r"^second: `from = base` takes the place of the passes"):
            bound(plan((erasure("cat"),), *passes), Toy())
    gated = bound(plan((erasure("cat"),), replace(SEARCHED, gate=LATE), ANEW), Toy())
    assert gated.passes[1].settings.leaves(gated.passes[1].met).gated is False
    narrow = replace(ANEW, on=RoleSites(role="query"))
    assert {site.role for site in bound(plan((erasure("cat"),), SEARCHED, narrow), Toy()).sites} == {"query"}
