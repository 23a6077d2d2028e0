"""Training weights themselves: what a step does, what a mask leaves alone, and that it can stop anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.engine.plans import EARLY, LATE, bound, erasure, fuse, plan, refine, run, steer, term
from tests.engine.test_edit import same, weights
from tests.engine.test_steer import Stop
from tests.engine.toy import Toy
from tracelang.engine.edit import Edit, applied
from tracelang.engine.errors import EngineError
from tracelang.engine.options import Options
from tracelang.engine.passes import mask as masking
from tracelang.engine.passes.mask import leaves
from tracelang.engine.rollout import encoder
from tracelang.engine.seeds import generator
from tracelang.engine.weights import unfrozen
from tracelang.models.protocol import TextStates
from tracelang.plan.bind import BindError
from tracelang.plan.types import Plan, ReadsSites, RoleSites
from tracelang.semantics.passes.mask import Mask

EVERYTHING = ReadsSites(reads="everything")


def whole(**changes: object) -> object:
    """A `steer` that trains weights."""
    return steer(**{"train": "weights", "on": EVERYTHING, "rate": 1e-3, **changes})


def mask(**changes: object) -> Mask:
    settings = {"on": EVERYTHING, "share": 0.5, "seeds": 2, "steps": 4, "sampler_steps": 5, "during": LATE}
    return Mask(**{**settings, **changes})  # type: ignore[arg-type]


def trained(p: Plan, model: Toy | None = None, **options: object) -> Edit:
    return run(p, model or Toy(), **{"cache": None, "autocast": False, **options})  # type: ignore[arg-type]


def identical(a: Edit, b: Edit) -> bool:
    return a.trained.keys() == b.trained.keys() and all(
        torch.equal(a.trained[site], b.trained[site]) for site in a.trained
    )


CAT = plan((erasure("cat"),), whole())


def test_the_first_step_moves_every_weight_by_the_rate_against_its_gradient() -> None:
    """Adam's first step is `−rate · g/|g|`, and of `push` with one row `g` is that of one squared error."""
    push = term("push")
    p = plan((erasure("cat"),), whole(steps=1, terms=(push,), batch=1, trajectories=1), preserve={})
    model = Toy()
    before = weights(model)
    edit = trained(p, model)
    assert same(weights(model), before) and edit.adapters == () and set(edit.sites) == set(model.sites)
    for site, Δ in edit.trained.items():
        moved = Δ[Δ != 0]
        assert len(moved) > 0.9 * Δ.numel(), site.tensor
        assert moved.abs().median() == pytest.approx(1e-3, rel=1e-2)
    with applied(model, edit):
        assert not same(weights(model), before)
    assert same(weights(model), before)


def test_training_weights_moves_the_concept_toward_its_target() -> None:
    from tests.engine.test_steer import change, error

    model = Toy()
    edit = trained(plan((erasure("cat"),), whole(steps=60, rate=5e-3)), model)

    def away(c: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return e - (c - e)

    with applied(model, edit):
        assert error(model, "a cat", away, 0.6) < 0.6
        assert change(model, "a dog", 0.6) < change(model, "a cat", 0.6)


@pytest.mark.parametrize("refresh", [0, 5])
@pytest.mark.parametrize("joint", [False, True])
def test_a_run_that_was_interrupted_ends_bit_for_bit_like_one_that_was_not(
    refresh: int, joint: bool, tmp_path: Path
) -> None:
    steps = whole(steps=7 if joint else 14, refresh=refresh, adapters="joint" if joint else "each")
    p = plan((erasure("cat"), erasure("ship")), refine(), mask(), steps)
    unbroken = trained(p)
    stop = Stop(7, 12 if joint else 5)
    while stop.at:
        model = Toy()
        before = weights(model)
        with pytest.raises(KeyboardInterrupt):
            trained(p, model, progress=stop, state_dir=tmp_path)
        assert same(weights(model), before)
    resumed = trained(p, state_dir=tmp_path)
    assert identical(unbroken, resumed) and resumed.figures == unbroken.figures
    again = Toy()
    last = trained(p, again, state_dir=tmp_path)
    assert identical(unbroken, last) and last.figures == unbroken.figures and again.evaluations == []


def test_concepts_are_trained_one_after_another_or_together() -> None:
    """One after another the second begins where the first ended: its loss is not what it is alone."""
    both = (erasure("cat"), erasure("ship"))
    one, after = trained(plan(both, whole())).figures["steer"]
    (alone,) = trained(plan(both[1:], whole())).figures["steer"]
    assert after["concept"] == alone["concept"] and after["loss"][0] != alone["loss"][0]
    (joint,) = trained(plan(both, whole(adapters="joint"))).figures["steer"]
    assert joint["concept"] == f"{one['concept']}, {after['concept']}"
    assert joint["evaluations"]["steps"] == 2 * one["evaluations"]["steps"]


def test_numbers_outside_a_mask_stay_bit_for_bit_and_the_others_move() -> None:
    model = Toy()
    edit = trained(plan((erasure("cat"),), refine(), mask(), whole()), model)
    masks = edit.masks[("cat",)]
    patched = edit.mapped({}) if not edit.maps else Edit(edit.maps).to(model)
    assert not isinstance(patched, Edit)
    start = weights(model)
    patched.undo()
    moved = Edit(edit.maps, trained=edit.trained)
    for site in model.sites:
        assert 0 < masks[site].sum() < masks[site].numel()
        assert torch.equal(edit.trained[site] != 0, masks[site] & (edit.trained[site] != 0))
        assert (edit.trained[site] != 0)[masks[site]].float().mean() > 0.9
        if site not in edit.maps:  # a map changes what is outside of it too
            new = moved.patched(site, model.weight(site).detach())
            assert torch.equal(new[~masks[site]], start[site.tensor][~masks[site]])


def test_a_mask_is_what_every_run_leaves_and_is_said_beside_what_chance_would() -> None:
    model = Toy()
    before = weights(model)
    edit = trained(plan((erasure("cat"),), mask(seeds=2)), model)
    (told,) = edit.figures["mask"]
    found = edit.masks[("cat",)]
    assert same(weights(model), before) and edit.sites == ()
    assert all(parameter.grad is None for parameter in model.denoiser.parameters())
    assert told["runs"] == 4 and told["by_chance"] == 0.5**4  # two names, two seeds
    assert told["left"] == sum(int(one.sum()) for one in found.values())
    assert told["share"] > 2 * told["by_chance"]  # gradients of one concept agree
    assert told["layers"] == {site.tensor: float(one.double().mean()) for site, one in found.items()}
    assert all(one.double().mean() <= 0.5 for one in found.values())
    more = trained(plan((erasure("cat"),), mask(seeds=4)), Toy())
    assert more.figures["mask"][0]["share"] < told["share"]
    for site, mine in more.masks[("cat",)].items():
        assert not (mine & ~found[site]).any()  # more runs leave no more


@pytest.mark.parametrize("keep", ["largest", "smallest"])
def test_a_share_is_of_the_columns_that_an_edit_may_change(keep: str) -> None:
    """As of SDXL's pooled input, beside which the same matrix reads the picture's size."""
    model = Toy()
    model.sites = tuple(replace(one, columns=(0, 6)) if one.reads == "pooled" else one for one in model.sites)
    (site,) = (one for one in model.sites if one.reads == "pooled")
    edit = trained(plan((erasure("dog"),), mask(on=RoleSites(role="pooled"), seeds=1, keep=keep), preserve={}), model)
    found, (told,) = edit.masks[("dog",)][site], edit.figures["mask"]
    assert not found[:, 6:].any() and told["left"] == int(found.sum()) == site.size // 2
    assert told["of"] == site.size and told["share"] == told["layers"][site.tensor] == told["by_chance"] == 0.5


def test_what_a_run_leaves_of_a_gradient() -> None:
    g = torch.tensor([[3.0, -4.0], [0.0, 1.0]])
    assert leaves(g, 0.5).tolist() == [[True, True], [False, False]]
    assert leaves(g, 0.5, "smallest").tolist() == [[False, False], [True, True]]
    assert leaves(g, 1.0).tolist() == [[True, True], [False, True]]  # what has no gradient is not where a concept is
    assert leaves(g, 1e-9).tolist() == [[False, True], [False, False]]
    assert not leaves(torch.zeros(2, 2), 0.5).any()


def test_a_run_adds_gradients_with_their_signs_at_weights_that_stand_still() -> None:
    """Place by place by hand: what points one way here and the other way there is no mark of a concept."""
    model, one = Toy(), mask(seeds=1, steps=6)
    p = plan((erasure("dog"),), one, preserve={})
    (part,) = bound(p, model).passes
    starts = masking._starts(p, p.active[0], one)
    paths = masking._sampled(model, starts, one, Options(cache=None))
    random = generator("mask mask", starts[0].prompt, 0, one.seed)
    batch = masking._batch(part, paths, 0, random)
    states = encoder(model, [starts[0].prompt])(batch.prompts)
    wanted = [model.weight(site) for site in model.sites]
    for weight in wanted:
        weight.requires_grad_(True)
    signed, sizes = [torch.zeros_like(W) for W in wanted], [torch.zeros_like(W) for W in wanted]
    for i in range(6):
        inputs = TextStates({name: value[i : i + 1] for name, value in states.inputs.items()})
        error = (model.predict(batch.latents[i : i + 1], batch.times[i : i + 1], inputs) - batch.targets[i]).square()
        for sums, size, g in zip(signed, sizes, torch.autograd.grad(error.mean() / 6, wanted), strict=True):
            sums += g
            size += g.abs()
    found = trained(p, Toy()).masks[("dog",)]
    for site, sums, size in zip(model.sites, signed, sizes, strict=True):
        agree = float((found[site] == leaves(sums.flatten(1), 0.5)).float().mean())
        assert agree > 0.98, site.tensor
        assert agree > float((found[site] == leaves(size.flatten(1), 0.5)).float().mean())


def test_a_matrix_of_which_nothing_is_left_is_no_silent_matter() -> None:
    with pytest.raises(EngineError, match=r"mask: 40 runs of 'cat' have no number of \S+ in common.*raise `share`"):
        trained(plan((erasure("cat"),), mask(share=0.001, seeds=20)))


@pytest.mark.parametrize(
    ("passes", "says"),
    [
        ((mask(), steer()), "the mask before it is of weights; write `train = weights`"),
        ((mask(on=RoleSites(role="key")), whole()), r"the mask before it leaves layers\.0\.to_v\.weight out"),
        ((whole(gate=LATE),), "`gate` scales adapters"),
        ((steer(), whole(label="again"), fuse()), None),
    ],
)
def test_what_does_not_go_together_is_refused_when_bound(passes: tuple[object, ...], says: str | None) -> None:
    p = plan((erasure("cat"), erasure("ship")), *passes)
    with pytest.raises(BindError, match=says or "a pass before it changes whole matrices"):
        bound(p, Toy())


ANCHORED = (erasure("cat"), erasure("ship", anchor=("truck",)))


@pytest.mark.parametrize(
    "p",
    [
        CAT,
        plan((erasure("cat"), erasure("ship")), refine(), whole(refresh=5)),
        plan(ANCHORED, mask(seeds=3), whole(terms=(term("push"), term("hold", EARLY)))),
    ],
    ids=["plain", "one after another", "masked"],
)
def test_the_cost_of_a_plan_is_what_applying_it_takes(p: Plan) -> None:
    model = Toy()
    trained(p, model)
    parts = bound(p, model).passes
    assert sum(part.cost.frozen + part.cost.trained for part in parts) == sum(model.evaluations)
    numbers = sum(site.size for site in model.sites)
    assert [part.cost.memory > 0 for part in parts] == [part.kind != "refine" for part in parts]
    assert parts[-1].cost.memory == 24 * numbers


def test_the_teacher_is_the_model_without_what_is_trained_and_without_what_was_before() -> None:
    """The order matters: what is trained lies on top of the earlier edit, which is taken off second."""
    model = Toy()
    original = weights(model)
    earlier = Edit(trained=trained(CAT).trained)
    patch = earlier.to(model)
    before = weights(model)
    with unfrozen(model, model.sites, {}) as learner:
        for part in learner.parts:
            part.data += 1
        now = weights(model)
        with learner.off():
            assert same(weights(model), before)
            with patch.undone():
                assert same(weights(model), original)
        assert same(weights(model), now)
    assert same(weights(model), before)
    patch.undo()
    assert same(weights(model), original)


def test_a_model_in_bfloat16_is_trained_in_float32() -> None:
    """Steps that are too small for the model's own numbers add up."""
    model = Toy()
    model.denoiser.bfloat16()
    before = weights(model)
    site = model.sites[0]
    with unfrozen(model, [site], {}) as learner:
        optimiser = torch.optim.AdamW(learner.parts, lr=1e-5, weight_decay=0)
        for _ in range(400):
            learner.forget()
            for _ in range(2):
                (model.weight(site).float() ** 2).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            learner.written()
        W = before[site.tensor].float()
        assert float((learner.parts[0].detach() - W).abs().median()) == pytest.approx(4e-3, rel=0.1)
        assert torch.equal(model.weight(site), learner.parts[0].bfloat16())
        Δ = learner.learnt()[site]
    assert same(weights(model), before)
    assert torch.equal(Edit(trained={site: Δ}).patched(site, model.weight(site)), (W + Δ).bfloat16())


def test_what_has_no_room_is_refused_before_anything_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Toy()
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(
        EngineError, match=r"training 4,[0-9]{3} weights themselves takes .* beside the model, and cpu has"
    ):
        trained(CAT, model)
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(EngineError, match=r"of disk, and .* has 0\.0 GB free; take fewer layers, or train adapters"):
        trained(CAT, model, state_dir=tmp_path / "state")
    assert model.evaluations == []
