"""One orthogonal left map a matrix (docs/methods.md §4.4 and §7), and the pass that makes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tests.engine.plans import bound, erasure, plan, refine, run
from tests.engine.toy import Toy
from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.rotation import reversed_share, turn
from tracelang.engine.statements import constraints
from tracelang.plan.bind import BindError
from tracelang.plan.types import Plan
from tracelang.semantics.passes.harden import Harden
from tracelang.semantics.passes.rotate import Rotate

f64 = torch.float64


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def gram(d: int, m: int = 60, seed: int = 9) -> Tensor:
    C = random(d, m, seed=seed)
    return C @ C.T + torch.eye(d, dtype=f64)


@pytest.mark.parametrize(("weight", "sign"), [(0.0, 1), (0.5, 1), (2.0, -1)])
def test_two_dimensions_by_hand(weight: float, sign: int) -> None:
    """W = I, f = e₁, g = e₂, K = diag(3, 5): M = diag(3 − 3·weight, 5), and P its signs."""
    one = torch.eye(2, dtype=f64)
    found = turn(one, one[:, :1], one[:, 1:], torch.diag(torch.tensor([3, 5], dtype=f64)), weight)
    assert torch.allclose(found.P, torch.diag(torch.tensor([sign, 1], dtype=f64))) and found.erased == 1
    assert reversed_share(found.P) == (0.5 if sign < 0 else 0)


def test_what_the_anchor_spans_is_not_pushed() -> None:
    one = torch.eye(2, dtype=f64)
    K = torch.diag(torch.tensor([3, 5], dtype=f64))
    assert torch.allclose(turn(one, one[:, :1], 2 * one[:, :1], K, 20.0).P, one)
    assert not torch.allclose(turn(one, one[:, :1], one[:, 1:], K, 20.0).P, one)


@pytest.mark.parametrize(("o", "d"), [(12, 20), (20, 12), (16, 16)])
@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0, 20.0])
def test_lengths_and_angles_of_all_values_stay(o: int, d: int, weight: float) -> None:
    W, F, G, K = random(o, d), random(d, 3, seed=1), random(d, 3, seed=2), gram(d)
    found = turn(W, F, G, K, weight)
    new = found.P @ W
    assert torch.allclose(found.P.T @ found.P, torch.eye(o, dtype=f64), atol=1e-12)
    assert (new.T @ new - W.T @ W).norm() < 1e-12 * (W.T @ W).norm()
    if not weight:
        assert (new - W).norm() < 1e-12 * W.norm()
    if weight >= 2:
        assert cosine_similarity(new @ F, W @ F, dim=0).mean() < 0.3
        assert (new - W).norm() > 0.1 * W.norm()


def test_it_is_the_minimum_of_its_objective_and_the_transposed_sum_is_not() -> None:
    W, F, G, K = random(10, 14), random(14, 3, seed=1), random(14, 3, seed=2), gram(14)
    one, L = torch.eye(10, dtype=f64), torch.linalg.cholesky(K)
    R, anchors = (Q @ Q.T for Q in (torch.linalg.qr(W @ F).Q, torch.linalg.qr(W @ G).Q))
    a = 2 * torch.linalg.eigvalsh(torch.linalg.qr(W @ F).Q.T @ W @ K @ W.T @ torch.linalg.qr(W @ F).Q)[-1]

    def objective(P: Tensor) -> float:
        return float(((P - one) @ W @ L).square().sum() - a * (P @ R - (one - anchors)).square().sum())

    found = turn(W, F, G, K, 2.0).P
    for seed in range(20):
        X = 0.01 * random(10, 10, seed=seed)
        assert objective(torch.linalg.matrix_exp(X - X.T) @ found) > objective(found)
    transposed = turn(W, F, G, K, 2.0, ("transposed",)).P
    assert objective(transposed) > objective(found) + 1
    assert torch.allclose(transposed, found.T, atol=1e-9)  # M's transpose: the inverse turn


def test_it_is_a_threshold() -> None:
    """Below what the preserved weigh along a direction it stays nearly where it was, above it turns round."""
    W, f, g = random(10, 14), random(14, 1, seed=1), random(14, 1, seed=2)
    u = W @ f / (W @ f).norm()
    K = gram(14) + 1e4 * torch.linalg.pinv(W) @ u @ u.T @ torch.linalg.pinv(W).T  # so that u is nearly an eigenvector

    def cosine(weight: float) -> float:
        return float(cosine_similarity(turn(W, f, g, K, weight).P @ W @ f, W @ f, dim=0))

    assert cosine(0.5) > 0.9 and cosine(2.0) < -0.5 and cosine(20.0) < cosine(2.0) + 0.05


def test_columns_that_are_repeated_are_counted_once_and_anew_in_the_release() -> None:
    W, F, g, K = random(8, 14), random(14, 4, seed=1), random(14, 1, seed=2), gram(14)
    G = g.expand(-1, 4)
    found, release = turn(W, F, G, K, 2.0), turn(W, F, G, K, 2.0, ("repeated",))
    assert (found.erased, found.anchors) == (4, 1) and (release.erased, release.anchors) == (4, 4)
    six = torch.cat([F, F + 0.0], 1)
    assert turn(W, six, G, K, 2.0).erased == 4
    # As many columns as the matrix is wide: R = R* = I, and the release erases nothing at all.
    nothing = turn(W, six, g.expand(-1, 8), K, 20.0, ("repeated",))
    assert torch.allclose(nothing.P, torch.eye(8, dtype=f64), atol=1e-9)
    assert not torch.allclose(turn(W, six, g.expand(-1, 8), K, 20.0).P, torch.eye(8, dtype=f64), atol=0.1)


def test_the_determinant_of_the_release_negates_a_channel_of_every_input() -> None:
    W, f, g, K = random(9, 9), random(9, 1, seed=1), random(9, 1, seed=2), gram(9)
    found = turn(W, f, g, K, 20.0)
    assert torch.linalg.det(found.P) == pytest.approx(-1)
    fixed = turn(W, f, g, K, 20.0, ("determinant",))
    assert torch.linalg.det(fixed.P) == pytest.approx(1)
    assert torch.equal(fixed.P[:, :-1], found.P[:, :-1]) and torch.equal(fixed.P[:, -1], -found.P[:, -1])
    assert torch.equal(turn(W, f, g, K, 0.0, ("determinant",)).P, turn(W, f, g, K, 0.0).P)


def test_order_is_nothing() -> None:
    W, F, G, K = random(10, 14), random(14, 3, seed=1), random(14, 3, seed=2), gram(14)
    assert torch.allclose(turn(W, F, G, K, 3.0).P, turn(W, F[:, [2, 0, 1]], G[:, [2, 0, 1]], K, 3.0).P, atol=1e-10)


def test_where_outputs_are_more_than_inputs_the_rest_is_left_alone() -> None:
    W, F, G, K = random(20, 12), random(12, 3, seed=1), random(12, 3, seed=2), gram(12)
    P = turn(W, F, G, K, 20.0).P
    outside = torch.linalg.svd(W, full_matrices=True)[0][:, 12:]
    assert torch.allclose(P @ outside, outside, atol=1e-12)


def rotating(*before: Any, degree: float = 1.0, preserve: dict[str, float] | None = None, **changes: Any) -> Plan:
    aim = erasure("cat", anchor=("horse",), degree=degree)
    kept = {"dog": 1.0} if preserve is None else preserve
    return plan((aim,), *before, Rotate(**{"prior": 0.0, **changes}), preserve=kept)


def test_the_pass_turns_every_matrix_by_its_own_map_and_says_how_far() -> None:
    model = Toy()
    edit = run(rotating(), model)
    sites = [site for site in model.sites if site.reads is not None]
    assert set(edit.turns) == set(sites) and not edit.maps
    for site in sites:
        W = model.weight(site).detach().double()
        new = edit.patched(site, W)
        told = edit.figures["rotate"][site.tensor]
        assert (new.T @ new - W.T @ W).norm() < 1e-10 * (W.T @ W).norm() and (new - W).norm() > 0.01 * W.norm()
        assert 0 < told["rank"] <= 4 and 0 < told["anchor_rank"] <= 4 and told["cosine"] < 0.3
        assert told["worst_leak"] > 0 and 0 < told["reversed"] < 0.5
    same = run(rotating(erase_weight=0.0), model)
    site = sites[0]
    W = model.weight(site).detach().double()
    assert torch.allclose(same.patched(site, W), W, atol=1e-12)


def test_after_another_pass_it_turns_what_the_layers_are_then() -> None:
    model = Toy()
    edit = run(rotating(refine(ridge=0.1)), model)
    before = run(plan((erasure("cat", anchor=("horse",)),), refine(ridge=0.1), preserve={"dog": 1.0}), model)
    for site in edit.turns:
        W = model.weight(site).detach().double()
        assert torch.allclose(edit.patched(site, W), edit.turns[site] @ before.patched(site, W), atol=1e-9)
    alone = run(rotating(), model)
    site = next(iter(edit.turns))
    assert not torch.allclose(edit.turns[site], alone.turns[site], atol=1e-3)


def test_there_is_no_degree_between() -> None:
    with pytest.raises(BindError, match="rotate: an orthogonal map has no degree, and 40% is asked for; say 100%"):
        bound(rotating(degree=0.4), Toy())
    assert bound(rotating(degree=0.0), Toy()).passes and run(rotating(degree=0.0), Toy()) == Edit()


def test_with_nothing_held_it_is_refused() -> None:
    with pytest.raises(EngineError, match="rotate: nothing is held; give `prior` or `keep_weight` more than 0"):
        run(rotating(keep_weight=0.0), Toy())


def test_without_an_anchor_and_with_nothing_preserved_it_turns_from_the_empty_prompts_own_states() -> None:
    """Where the released scripts stop, or take the start token for the anchor's last word."""
    model = Toy()
    p = plan((erasure("cat"),), Rotate(prior=0.0, preserved_tokens="last"), preserve={})
    edit = run(p, model)
    problem = constraints(p, p.active, (), model, ["tokens"], "last")["tokens"]
    start = model.encode([""]).inputs["tokens"][0, 0].double()
    assert (problem.G - start[:, None]).norm(dim=0).min() > 1e-3
    told = edit.figures["rotate"]
    assert all(one["cosine"] < 0 < one["anchor_rank"] for name, one in told.items() if "pooled" not in name)


def test_after_a_turn_rounds_search_in_the_matrices_as_they_are() -> None:
    """A turn is no map of states: rounds read the turned matrices, and leave more from the first to the last."""
    model = Toy()
    edit = run(rotating(), model)
    both = run(plan((erasure("cat", anchor=("horse",)),), Rotate(prior=0.0), Harden(), preserve={"dog": 1.0}), model)
    (first, *_), left = both.figures["harden"]["tokens"]["rounds"], both.figures["harden"]["tokens"]["left"]
    assert set(both.turns) == set(edit.turns) and both.maps and left["residual"] > first["residual"] > 0.01


def test_more_weight_on_the_preserved_moves_them_less() -> None:
    model = Toy()
    several = {name: 1.0 for name in ("dog", "fox", "owl")}

    def leak(**changes: Any) -> float:
        told = run(rotating(preserve=several, ridge=1e-3, erase_weight=1.5, **changes), model).figures["rotate"]
        return max(one["worst_leak"] for one in told.values())

    assert leak() > 0 and leak(preserved_tokens="last") > 0
