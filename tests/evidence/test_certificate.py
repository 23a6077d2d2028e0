"""The certificate as theorems: each figure where it is known, and a control where the effect is not there."""

from __future__ import annotations

import pytest
import torch

from tests.engine.plans import constraints, erasure, fuse, plan, refine, run, steer
from tests.engine.toy import Toy
from tests.evidence.certified import certify
from tracelang.engine.errors import EngineError
from tracelang.engine.text_map import smallest_singular_value
from tracelang.evidence.matrices import change_of, compared
from tracelang.evidence.report.wording import KINDS
from tracelang.evidence.schema import Certificate, Reach, Rung
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.types import Plan
from tracelang.semantics.passes.rotate import Rotate
from tracelang_micro import micro_sd
from tracelang_sd import StableDiffusion

CLOSED = plan((erasure("cat", anchor=("ship",)),), refine(ridge=0.01))


def edited(step: Plan) -> tuple[Toy, Toy]:
    """The toy, and another one with the plan's edit in it."""
    base, after = Toy(), Toy()
    run(step, base, cache=None).to(after)
    return base, after


def erased(found: Certificate) -> tuple[float, float, float]:
    """Residual, price and undone of the one erased concept."""
    reach = next(reach for reach in found.reaches if reach.leak is None)
    assert reach.residual is not None and reach.price is not None and reach.undone is not None
    return reach.residual, reach.price, reach.undone


def rung(found: Certificate, adversary: str) -> Rung:
    return next(one for one in found.ladder if one.adversary == adversary)


def leaks(found: Certificate) -> list[float]:
    return [reach.leak for reach in found.reaches if reach.leak is not None]


def test_an_edit_that_does_nothing_changes_nothing_erases_nothing_and_leaks_nothing() -> None:
    found = certify(CLOSED, Toy(), Toy())
    assert len(found.layers) == 5  # every matrix that reads text, and no other
    assert all((layer.change, layer.rank, layer.condition) == (0, 0, 1) for layer in found.layers)
    assert (found.map_share, found.smallest_singular_value, found.condition) == (1, 1, 1)
    assert erased(found) == (1, 1, 1) and leaks(found) == [0, 0]
    text = "\n".join(found.untouched)
    assert "`tokens`: 4 of 4" in text and "`pooled`: 1 of 1" in text and "2 of 2 matrices" in text


def test_the_closed_form_is_one_text_map_and_the_certificate_finds_it() -> None:
    base, after = edited(CLOSED)
    found = certify(CLOSED, base, after)
    assert abs(found.map_share - 1) < 1e-6
    assert all(layer.change > 0.05 and 0 < layer.rank <= min(layer.shape) for layer in found.layers)
    maps = run(CLOSED, base, cache=None).text_maps
    # the matrices of each text input together have full rank here, so their map is determined
    assert found.smallest_singular_value == pytest.approx(min(map(smallest_singular_value, maps.values())), rel=1e-4)
    conditions = [float(torch.linalg.cond(one.dense())) for one in maps.values()]
    assert found.condition == pytest.approx(max(conditions), rel=1e-4)
    residual, price, undone = erased(found)
    assert residual < 0.6 and undone > 0.999  # an invertible T is exactly undone by T⁻¹e (docs/methods.md §6)
    problems = constraints(CLOSED, refine(), base, ["tokens", "pooled"])
    F = [problems[name].F for name in maps]
    inverse = [torch.linalg.solve(T.dense(), one) for T, one in zip(maps.values(), F, strict=True)]
    longer, shorter = (sum(float(one.square().sum()) for one in part) for part in (inverse, F))
    assert price == pytest.approx((longer / shorter) ** 0.5, rel=1e-3) and price > 2
    assert 0 < max(leaks(found)) < 0.5
    assert not any("`tokens`" in line for line in found.untouched)


def test_with_nothing_to_preserve_the_closed_form_does_all_that_was_asked() -> None:
    alone = plan(CLOSED.erase, refine(ridge=1e-3, tokens="phrase"), preserve={})
    found = certify(alone, *edited(alone))
    assert erased(found)[0] < 0.1 and abs(found.map_share - 1) < 1e-6


def test_residual_and_leak_are_what_their_definitions_say() -> None:
    base, after = edited(CLOSED)
    found = certify(CLOSED, base, after)
    problems = constraints(CLOSED, refine(), base, ["tokens", "pooled"])
    worst = 0.0
    for site in base.sites:
        if site.reads:
            problem = problems[site.reads]
            W, new = base.weight(site).detach().double(), after.weight(site).detach().double()
            worst = max(worst, float((new @ problem.F - W @ problem.G).norm() / (W @ (problem.F - problem.G)).norm()))
    assert erased(found)[0] == pytest.approx(worst, rel=1e-6)


def test_a_stronger_ridge_leaves_more_and_moves_less() -> None:
    weak = certify(CLOSED, *edited(plan(CLOSED.erase, refine(ridge=10.0))))
    strong = certify(CLOSED, *edited(CLOSED))
    assert erased(strong)[0] < erased(weak)[0] < 1
    assert erased(weak)[1] < erased(strong)[1]  # what an attacker pays
    assert max(layer.change for layer in weak.layers) < max(layer.change for layer in strong.layers)


def test_half_a_degree_is_judged_by_what_it_asks_for() -> None:
    half = plan((erasure("cat", anchor=("ship",), degree=0.5),), refine(ridge=0.01))
    whole = erased(certify(CLOSED, *edited(CLOSED)))[0]
    assert erased(certify(half, *edited(half)))[0] == pytest.approx(whole, rel=1e-4)  # T is linear in the degree
    assert erased(certify(CLOSED, *edited(half)))[0] > whole + 0.1
    none = plan((erasure("cat", degree=0.0),), refine())
    assert [reach.residual for reach in certify(none, Toy(), Toy()).reaches] == [None, None]


def test_adapters_are_no_text_map_and_a_rank_is_an_adapters_rank() -> None:
    base, after = edited(plan(CLOSED.erase, steer(steps=8, rate=0.05, rank=2)))
    found = certify(CLOSED, base, after)
    assert 0 < found.map_share < 0.99
    assert {layer.rank for layer in found.layers if layer.change > 0} == {2}
    assert all(layer.condition > 0 for layer in found.layers)
    both = certify(CLOSED, *edited(plan(CLOSED.erase, refine(ridge=0.01), steer(steps=8, rate=0.05), fuse())))
    assert found.map_share < both.map_share < 1


def test_a_direction_that_is_closed_cannot_be_bought_back() -> None:
    """`T = I − uuᵀ` on every layer: what it takes from the states, no state gives back."""
    base, after = Toy(), Toy()
    F = constraints(CLOSED, refine(), base, ["tokens"])["tokens"].F
    u = torch.linalg.svd(F).U[:, :1].float()
    for site in base.sites:
        if site.reads == "tokens":
            W = after.weight(site)
            W.data -= (W.data @ u) @ u.T
    found = certify(CLOSED, base, after)
    _, price, undone = erased(found)
    assert found.smallest_singular_value < 1e-5 and abs(found.map_share - 1) < 1e-6
    assert undone < 0.5 and price < 2  # nothing is gained by longer states, so none are asked for
    assert "a new embedding" in rung(found, "embeddings").not_covered


def test_a_change_elsewhere_is_seen_and_is_no_text_map() -> None:
    base, after = Toy(), Toy()
    query = next(site for site in base.sites if site.role == "query")
    after.weight(query).data += 0.1
    found = certify(CLOSED, base, after)
    assert found.map_share == 0 and erased(found) == (1, 1, 1) and leaks(found) == [0, 0]
    assert next(layer for layer in found.layers if layer.tensor == query.tensor).rank == 1
    assert "1 of 2 matrices" in "\n".join(found.untouched)


def test_a_text_encoder_that_changed_is_not_called_untouched() -> None:
    base, after = Toy(), Toy()
    assert any("text encoder" in line for line in certify(CLOSED, base, after).untouched)
    after.embedding = after.embedding + 0.1
    assert not any("text encoder" in line for line in certify(CLOSED, base, after).untouched)


def test_what_is_no_edit_of_the_base_is_refused() -> None:
    broken = Toy()
    broken.weight(broken.sites[0]).data[0, 0] = float("nan")
    with pytest.raises(EngineError, match=r"layers\.0\.to_k\.weight of the edited model holds NaN"):
        certify(CLOSED, Toy(), broken)


@pytest.fixture(scope="module")
def micro() -> tuple[Model, Model]:
    return StableDiffusion().load(micro_sd()), StableDiffusion().load(micro_sd())


def test_on_the_embedded_model_without_running_its_denoiser(
    micro: tuple[Model, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, after = micro
    recipe = plan((erasure("cat", anchor=("ship",)),), refine(ridge=1e-4), preserve={"dog": 1.0})
    edit = run(recipe, base, cache=None)

    def never(*_: object) -> None:
        raise AssertionError("the denoiser was run")

    for name in ("predict", "decode", "step"):
        monkeypatch.setattr(type(base), name, never)
    nothing = certify(recipe, base, after)
    assert nothing.map_share == 1 and erased(nothing) == (1, 1, 1) and leaks(nothing) == [0]
    patch = edit.to(after)
    found = certify(recipe, base, after)
    patch.undo()
    assert abs(found.map_share - 1) < 1e-6 and {layer.reads for layer in found.layers} == {"tokens"}
    residual, price, undone = erased(found)
    assert residual < 0.5 and price > 1 and undone > 0.9 and leaks(found)[0] < 0.2


def test_halves_do_not_pretend_to_full_rank(micro: tuple[Model, Model]) -> None:
    base, after = micro
    recipe = plan((erasure("cat", anchor=("ship",)),), refine(tokens="phrase"), preserve={"dog": 1.0})
    edit = run(recipe, base, cache=None)
    patch = edit.to(after)
    exact = {layer.tensor: layer.rank for layer in certify(recipe, base, after).layers}
    for site in edit.sites:
        after.weight(site).data = after.weight(site).data.half().float()
    stored = {layer.tensor: layer.rank for layer in certify(recipe, base, after).layers}
    patch.undo()
    assert all(0 < stored[name] <= rank < 64 for name, rank in exact.items())


def cheaper(found: Certificate) -> dict[float, float]:
    return dict(next(reach for reach in found.reaches if reach.leak is None).cheaper)


def test_undoing_most_of_an_edit_costs_less_than_undoing_the_last_of_it() -> None:
    """The prices against a ridge solved for itself: the shortest states that leave so much of the effect standing."""
    base, after = edited(CLOSED)
    found = certify(CLOSED, base, after)
    prices = cheaper(found)
    _, entirely, undone = erased(found)
    assert list(prices) == [0.5, 0.8, 0.95] and undone > 0.999
    assert prices[0.5] < prices[0.8] < prices[0.95] < entirely
    problems = constraints(CLOSED, refine(), base, ["tokens", "pooled"])
    parts = []
    for name in ("tokens", "pooled"):
        sites = [site for site in base.sites if site.reads == name]
        W, new = (torch.cat([model.weight(site).detach().double() for site in sites]) for model in (base, after))
        parts.append((W @ problems[name].F, new, problems[name].F))
    effect = sum(float((wanted - new @ F).square().sum()) for wanted, new, F in parts)
    length = sum(float(F.square().sum()) for _, _, F in parts)

    def tried(ridge: float) -> tuple[float, float]:
        rest = longer = 0.0
        for wanted, new, _ in parts:
            E = torch.linalg.solve(new.T @ new + ridge * torch.eye(new.shape[1], dtype=new.dtype), new.T @ wanted)
            rest, longer = rest + float((wanted - new @ E).square().sum()), longer + float(E.square().sum())
        return 1 - rest / effect, (longer / length) ** 0.5

    for share, price in prices.items():
        points = [tried(10 ** (power / 50)) for power in range(-500, 200)]
        near = min(points, key=lambda point: abs(point[0] - share))
        assert near[0] == pytest.approx(share, abs=0.01) and near[1] == pytest.approx(price, rel=0.05)
    told = rung(found, "embeddings").not_covered
    assert "take back 50%" in told and "take back 80%" in told and "take back 100%" in told


def test_where_nothing_is_done_or_nothing_can_be_undone_there_is_no_cheaper_price() -> None:
    assert cheaper(certify(CLOSED, Toy(), Toy())) == {}
    base, after = Toy(), Toy()
    for site in after.sites:
        if site.reads is not None:
            after.weight(site).data.zero_()
            after.weight(site).data[0, 0] = 1.0
    assert cheaper(certify(CLOSED, base, after)) == {}


@pytest.mark.parametrize("rank", [8, 90])
def test_the_rank_of_a_large_matrix_is_found_whether_or_not_it_is_low(rank: int) -> None:
    generator = torch.Generator().manual_seed(0)
    W, up, down = (torch.randn(*shape, generator=generator) for shape in ((300, 400), (300, rank), (rank, 400)))
    site = Site("unet", "to_out.weight", (300, 400), "out", "mid", None, False)
    after = W + up @ down / 100
    found = change_of(site, compared(site, W, after), after, False)
    assert (found.rank, found.condition) == (rank, None)


def within_the_null_space(base: Toy, after: Toy) -> Plan:
    """An edit that no preserved state sees: a change with every preserved direction projected out of its rows."""
    step = plan((erasure("cat", anchor=("ship",)),), refine(), preserve={"dog": 1.0})
    problems = constraints(step, refine(), base, ["tokens", "pooled"])
    generator = torch.Generator().manual_seed(0)
    for site in after.sites:
        if site.reads is not None:
            U, σ, _ = torch.linalg.svd(problems[site.reads].P.double(), full_matrices=False)
            U = U[:, σ > 1e-9 * σ[0]]
            Δ = torch.randn(site.shape, generator=generator, dtype=torch.float64) * 0.05
            W = after.weight(site)
            W.data = (W.data.double() + Δ - Δ @ U @ U.T).to(W.dtype)
    return step


def kept(found: Certificate) -> Reach:
    (only,) = (one for one in found.reaches if one.leak is not None)
    return only


def test_what_no_preserved_state_sees_moves_them_by_rounding_alone() -> None:
    base, after = Toy(), Toy()
    step = within_the_null_space(base, after)
    found = certify(step, base, after)
    one = kept(found)
    assert one.exact and one.leak is not None and one.rounding is not None
    assert 0.2 * one.rounding < one.leak < 2 * one.rounding < 1e-6
    assert max(layer.change for layer in found.layers) > 0.02  # and it is an edit
    for site in after.sites:  # a change of four millionths is seen
        if site.reads is not None:
            after.weight(site).data *= 1 + 4e-6
    moved = kept(certify(step, base, after))
    assert moved.exact is False and moved.leak == pytest.approx(4e-6, rel=0.2)


def test_halves_have_coarser_roundings_and_are_told_so() -> None:
    base, after = Toy(), Toy()
    step = within_the_null_space(base, after)
    for site in base.sites:  # the base is stored in halves; the edit is rounded to them once
        Δ = after.weight(site).data.double() - base.weight(site).data.double()
        base.weight(site).data = base.weight(site).data.half().float()
        after.weight(site).data = (base.weight(site).data.double() + Δ).half().float()
    one = kept(certify(step, base, after))
    assert one.exact and one.rounding is not None and 1e-5 < one.rounding < 1e-3


def test_an_ordinary_closed_form_is_not_called_exact() -> None:
    found = certify(CLOSED, *edited(CLOSED))
    assert [one.exact for one in found.reaches if one.leak is not None] == [False, False]
    nothing = certify(CLOSED, Toy(), Toy())
    assert [(one.exact, one.rounding) for one in nothing.reaches if one.leak is not None] == [(True, 0)] * 2


def test_the_free_rank_is_what_the_preserved_states_leave() -> None:
    found = certify(CLOSED, Toy(), Toy())
    problems = constraints(CLOSED, refine(), Toy(), ["tokens", "pooled"])
    for one in found.free:
        P = problems[one.reads].P.double()
        σ = torch.linalg.svdvals(P)
        assert (one.dimension, one.states) == tuple(P.shape)
        assert one.held == int((σ > 1e-6 * σ[0]).sum()) >= one.held_roughly == int((σ > 1e-3 * σ[0]).sum())
    alone = certify(plan(CLOSED.erase, refine(), preserve={}), Toy(), Toy())
    assert all(less.held < more.held for less, more in zip(alone.free, found.free, strict=True))


def test_what_no_one_state_undoes_for_all_layers_is_told_apart_from_one_map() -> None:
    """One map asks all layers for one state. Changes of each layer's own ask for as many states as there are layers."""
    common, apart = certify(CLOSED, *edited(CLOSED)), (Toy(), Toy())
    generator = torch.Generator().manual_seed(0)
    for site in apart[1].sites:
        if site.reads == "tokens":
            W = apart[1].weight(site)
            W.data = W.data + 0.3 * torch.randn(W.shape, generator=generator) * W.data.std()
    found = certify(CLOSED, *apart)
    (one,) = (one.joint for one in common.reaches if one.leak is None)
    (other,) = (one.joint for one in found.reaches if one.leak is None)
    assert one == pytest.approx(0, abs=0.05) and other is not None and other > 0.3
    for reach in found.reaches:
        if reach.joint is not None and reach.undone is not None:
            assert reach.joint**2 == pytest.approx(1 - reach.undone)
    assert "no one state common to all layers takes it back" in rung(found, "embeddings").covered
    assert rung(certify(CLOSED, Toy(), Toy()), "embeddings").covered == "nothing"


def test_mixed_matrices_are_counted_and_no_line_claims_them() -> None:
    base, after = edited(CLOSED)
    closed = certify(CLOSED, base, after)
    after.weight(next(site for site in base.sites if site.role == "query")).data += 0.1
    adapted = certify(CLOSED, base, after)
    assert (closed.mixed.changed, closed.mixed.share) == (0, 0) and closed.mixed.of == 2
    mixed = [layer for layer in adapted.layers if layer.reads is None]
    assert adapted.mixed.changed == len(mixed) > 0 and 0 < adapted.mixed.share < 1
    for adversary in ("words", "embeddings", "noise"):
        assert "mix text with the picture" in rung(adapted, adversary).not_covered
        assert "mix text with the picture" not in rung(closed, adversary).not_covered


def test_every_adversary_has_a_line_that_says_what_is_not_covered() -> None:
    for found in (certify(CLOSED, *edited(CLOSED)), certify(CLOSED, Toy(), Toy())):
        told = [one.adversary for one in found.ladder]
        assert told == ["words", "embeddings", "picture context", "noise", "weights", "supplier"]
        assert all(one.covered and one.not_covered for one in found.ladder)
    unedited = {one.adversary: one.covered for one in found.ladder}
    assert {unedited[name] for name in told[:-1]} == {"nothing"}


def test_every_share_of_the_ladder_says_whether_it_is_of_lengths_or_of_squares() -> None:
    base, after = edited(CLOSED)
    after.weight(next(site for site in base.sites if site.role == "query")).data += 0.1
    told = [text for one in certify(CLOSED, base, after).ladder for text in (one.covered, one.not_covered)]
    shares = [text for text in told if "%" in text]
    assert len(shares) >= 4 and all(KINDS["length"] in text or KINDS["square"] in text for text in shares)


def test_concepts_that_do_not_fit_at_once_have_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    base, after = edited(CLOSED)
    whole = certify(CLOSED, base, after)
    monkeypatch.setattr("tracelang.evidence.certificate.HELD", 1)
    assert certify(CLOSED, base, after).reaches == whole.reaches


def test_turned_matrices_are_told_by_their_grams_and_no_state_is_right_for_all_of_them() -> None:
    aim = (erasure("cat", anchor=("horse",)),)
    turning = plan(aim, Rotate(prior=0.0), preserve={"dog": 1.0})
    base, after = edited(turning)
    found = certify(turning, base, after)
    weights = rung(found, "weights")
    assert "5 matrices were turned as a whole: turning each back undoes it entirely" in weights.not_covered
    (reach,) = [reach for reach in found.reaches if reach.joint is not None]
    assert reach.joint is not None and reach.joint > 0.1 and found.map_share < 0.99
    assert all(layer.condition == pytest.approx(1, rel=1e-4) for layer in found.layers)
    site = next(site for site in base.sites if site.reads == "tokens")
    W, new = (side.weight(site).detach().double() for side in (base, after))
    F = constraints(turning, refine(), base, ["tokens"])["tokens"].F
    assert (new @ torch.linalg.lstsq(new, W @ F, driver="gelsd").solution - W @ F).norm() < 1e-5 * (W @ F).norm()
    assert "turned" not in rung(certify(CLOSED, *edited(CLOSED)), "weights").not_covered


def test_what_is_farther_from_its_anchor_than_before_is_not_told_as_a_share_that_is_left() -> None:
    turning = plan((erasure("cat", anchor=("horse",)),), Rotate(prior=0.0), preserve={"dog": 1.0})
    words = certify(turning, *edited(turning)).ladder[0]
    assert "times as far as before (cat, its worst layer)" in words.covered and "is left" not in words.covered
    assert "is left (cat" in certify(CLOSED, *edited(CLOSED)).ladder[0].covered
