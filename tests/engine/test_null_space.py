"""Changes that preserved states cannot see (docs/methods.md §4.3 and §7), and the pass that makes them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.plans import erasure, plan, run
from tests.engine.toy import Toy
from tracelang.engine.errors import EngineError
from tracelang.engine.null_space import NullSpace, null_space, solve
from tracelang.engine.options import Options
from tracelang.engine.projection import _chosen
from tracelang.engine.statements import held_columns, states
from tracelang.engine.text_map import Constraints
from tracelang.engine.text_map import solve as refine
from tracelang.plan.prompts import EMPTY
from tracelang.plan.types import Plan
from tracelang.semantics.passes.project import Project

f64 = torch.float64


def columns(d: int, *counts: int, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(d, n, generator=g, dtype=f64) for n in counts]


def even(C: Tensor) -> NullSpace:
    return null_space(C, torch.ones(C.shape[1], dtype=f64), 1e-6)


def test_three_dimensions_by_hand() -> None:
    """Held: the first axis. f = (1, 1, 0) → g = (1, 0, 1): Pf = (0, 1, 0), so T = I + (0, −1, 1)(0, 1, 0)ᵀ/(1 + ρ)."""
    C, F, G = (torch.tensor([row], dtype=f64).T for row in ([1, 0, 0], [1, 1, 0], [1, 0, 1]))
    space = even(C)
    assert space.free == 2 and space.angle(F) == pytest.approx(0.5**0.5)
    for ρ, share in ((0.0, 1.0), (1.0, 0.5)):
        hand = torch.tensor([[1, 0, 0], [0, 1 - share, 0], [0, share, 1]], dtype=f64)
        assert torch.allclose(solve(F, G, space, ρ).dense(), hand, atol=1e-15)


@pytest.mark.parametrize(("n", "m"), [(3, 20), (10, 25), (30, 10), (50, 10)])
def test_nothing_reaches_the_span_of_what_is_held_and_all_is_done_that_was_asked(n: int, m: int) -> None:
    C, F, G = columns(40, m, n, n)
    space = even(C)
    T = solve(F, G, space, 0.0)
    assert space.free == 40 - m
    assert (T.left @ (T.right.T @ C)).norm() < 1e-10 * C.norm()
    if n <= space.free:
        assert (T.dense() @ F - G).norm() < 1e-9 * G.norm()
    soft = refine(Constraints(F, G, torch.ones(n, dtype=f64), C, torch.ones(m, dtype=f64)), 0.01).map
    assert (soft.left @ (soft.right.T @ C)).norm() > 1e-4 * C.norm()  # control: a weight is no promise


def test_it_is_double_projections_in_a_basis_of_the_null_space() -> None:
    C, F, G = columns(30, 18, 5, 5)
    U2 = torch.linalg.svd(C, full_matrices=True)[0][:, 18:]
    T = torch.eye(30, dtype=f64) + (G - F) @ torch.linalg.pinv(U2.T @ F) @ U2.T
    assert torch.allclose(solve(F, G, even(C), 0.0).dense(), T, atol=1e-10)


def test_it_is_where_refine_goes_with_less_ridge_and_more_weight() -> None:
    C, F, G = columns(30, 18, 3, 3)
    one = torch.ones
    far = [
        (solve(F, G, even(C), 0.0).dense() - refine(problem, ridge, absolute=True).map.dense()).norm()
        for ridge, weight in ((1e-2, 1e2), (1e-4, 1e4))
        for problem in [Constraints(F, G, one(3, dtype=f64), C, weight * one(18, dtype=f64))]
    ]
    assert far[1] < 0.01 * far[0] and far[1] < 1e-2


def test_it_is_speed_s_formula_and_invariants_are_states_that_are_held() -> None:
    """`ΔW = W (A − S) P [I − M K₂ (K₂ᵀ P M K₂)⁻¹ K₂ᵀ P] M` with `M = (S P + ρI)⁻¹` and means over n prompts."""
    C, F, G, K2, (W,) = *columns(24, 12, 4, 4, 3), columns(8, 24, seed=1)
    space, ρ, eye = even(C), 0.7, torch.eye(24, dtype=f64)
    P, S, A = eye - space.held @ space.held.T, F @ F.T / 4, G @ F.T / 4
    M = torch.linalg.inv(S @ P + ρ * eye)
    inner = torch.linalg.inv(K2.T @ P @ M @ K2)
    Δ = W @ (A - S) @ P @ (eye - M @ K2 @ inner @ K2.T @ P) @ M
    T = solve(F, G, space.beside(K2), 4 * ρ)
    assert torch.allclose(W @ (T.dense() - eye), Δ, atol=1e-10) and Δ.norm() > 0.1
    assert (Δ @ C).norm() < 1e-9 and (Δ @ K2).norm() < 1e-9
    assert space.beside(C[:, :2]).free == space.free  # held already: nothing more to hold


def test_where_everything_is_held_nothing_moves_and_order_is_nothing() -> None:
    F, G, C = columns(12, 4, 4, 5)
    assert torch.equal(solve(F, G, even(torch.eye(12, dtype=f64)), 0.0).dense(), torch.eye(12, dtype=f64))
    back = [3, 1, 2, 0]
    one, other = solve(F, G, even(C), 0.1), solve(F[:, back], G[:, back], even(C.flip(1)), 0.1)
    assert torch.allclose(one.dense(), other.dense(), atol=1e-12)


def test_thresholds() -> None:
    """Eigenvalues of the mean Gram 4, 1 and 1/100: relative to the largest singular value, and as they are."""
    C = torch.diag(torch.tensor([4, 1, 0.01], dtype=f64).mul(3).sqrt())
    w = torch.ones(3, dtype=f64)
    assert [null_space(C, w, share).free for share in (1e-3, 0.06, 0.4, 0.6)] == [0, 1, 1, 2]
    assert [null_space(C, w, eigenvalue, absolute=True).free for eigenvalue in (1e-3, 0.1, 2.0, 5.0)] == [0, 1, 2, 3]


def project(**changes: Any) -> Project:
    return Project(**{"preserved_tokens": "last", "tokens": "last", **changes})


def projecting(*, preserve: dict[str, float] | None = None, degree: float = 1.0, **changes: Any) -> Plan:
    kept = {"dog": 1.0} if preserve is None else preserve
    return plan((erasure("cat", anchor=("horse",), degree=degree),), project(**changes), preserve=kept)


def test_the_pass_leaves_what_is_held_as_it_was_and_says_what_was_free() -> None:
    model = Toy()
    edit = run(projecting(), model)
    figures = edit.figures["project"]["tokens"]
    P, _ = held_columns(projecting(), projecting().preserve, model, ["tokens", "pooled"], last=True)
    for name, T in edit.text_maps.items():
        assert (T.left @ (T.right.T @ P[name].double())).norm() < 1e-9 * P[name].norm()
    assert figures["free"] == 32 - P["tokens"].shape[1] and figures["held_states"] == P["tokens"].shape[1]
    assert 0.1 < figures["angle"]["cat"] < 1 and figures["leak"] < 1e-9 and figures["residual"] < 0.2
    site = next(site for site in model.sites if site.reads == "tokens")
    W = model.weight(site).double()
    assert ((edit.patched(site, W) - W) @ P["tokens"].double()).norm() < 1e-9
    assert (edit.patched(site, W) - W).norm() > 1e-2 * W.norm()


def test_a_degree_is_a_share_of_the_whole_change() -> None:
    whole, half = (run(projecting(degree=degree), Toy()).text_maps["tokens"] for degree in (1.0, 0.5))
    eye = torch.eye(32, dtype=f64)
    assert torch.allclose(half.dense() - eye, (whole.dense() - eye) / 2, atol=1e-10)


def test_too_little_is_free_and_the_figures_are_in_the_refusal() -> None:
    crowd = {name: 1.0 for name in ("dog", "fox", "owl", "cow", "pig", "hen", "bee", "ant", "elk", "ape", "bat", "emu")}
    told = (
        r"project: of 32 directions of the text states \(tokens\) 0 are free .* by a sine of 0\.000 .*; preserve less"
    )
    with pytest.raises(EngineError, match=told):
        run(projecting(preserve=crowd, preserved_tokens="all"), Toy())
    with pytest.raises(EngineError, match=r"'cat' lies in them by a sine of 0\.\d+ \(`least_angle` is 0.99\)"):
        run(projecting(least_angle=0.99), Toy())
    assert run(projecting(preserve=crowd, preserved_tokens="all", threshold=0.3, least_angle=0.0), Toy()).maps


def test_invariants_are_exact_and_the_rest_of_the_empty_prompt_is_not() -> None:
    model = Toy()
    T = run(projecting(invariants=2), model).text_maps["tokens"]
    empty = states(model, [EMPTY])["tokens"][0].T
    moved = (T.left @ (T.right.T @ empty)).norm(dim=0) / empty.norm(dim=0)
    assert moved[0] < 1e-9 and moved[1:].amax() > 1e-3
    all_ = run(projecting(), model).figures["project"]["tokens"]
    some = run(projecting(invariants=2), model).figures["project"]["tokens"]
    assert some["free"] == all_["free"] + len(empty.T) - 3
    assert some["invariants"]["held"] == 3 and some["invariants"]["worst_leak"] < 1e-9 and "invariants" not in all_


def test_filter_and_copies() -> None:
    several = {name: 1.0 for name in ("dog", "fox", "owl", "cow")}
    model = Toy()

    def told(**changes: Any) -> dict[str, Any]:
        return run(projecting(preserve=several, invariants=1, **changes), model).figures["project"]["tokens"]

    all_, some, more = told(), told(filter=1.0), told(filter=1.0, augment=10)
    assert all_["held_states"] == all_["of_states"] == 8 > some["held_states"] > 0
    assert some["held_states"] < more["held_states"] < 11 * some["held_states"]
    assert more == told(filter=1.0, augment=10) != told(filter=1.0, augment=10, seed=1)


def test_copies_need_the_matrices_and_nothing_else_does() -> None:
    class TextAlone:
        def __init__(self, model: Toy) -> None:
            self.model = model

        def __getattr__(self, name: str) -> Any:
            if name in ("weight", "predict"):
                raise AttributeError(name)
            return getattr(self.model, name)

    text = TextAlone(Toy())
    assert run(projecting(), text).maps
    with pytest.raises(EngineError, match="the unedited matrices are needed"):
        run(projecting(augment=2), text)
    assert run(projecting(augment=2), text, weights=Toy().weight).maps


def test_a_later_pass_goes_on_top() -> None:
    model, step = Toy(), project(label="again")
    p = plan((erasure("cat", anchor=("horse",)),), project(), step, preserve={"dog": 1.0})
    edit = run(p, model)
    once = run(projecting(), model).text_maps["tokens"]
    assert torch.allclose(edit.text_maps["tokens"].dense(), once.then(once).dense(), atol=1e-8)


def test_what_a_small_angle_costs() -> None:
    """One state of length 1 whose free part is `sin θ` long: the change is `1/sin θ` times what was asked."""
    for θ in (1.0, 0.1, 0.01):
        C, F = (torch.tensor([row], dtype=f64).T for row in ([1, 0, 0], [math.cos(θ), math.sin(θ), 0]))
        G = F + torch.tensor([[0, 0, 1]], dtype=f64).T
        T, space = solve(F, G, even(C), 0.0), even(C)
        assert space.angle(F) == pytest.approx(math.sin(θ))
        moved = torch.linalg.matrix_norm(T.dense() - torch.eye(3, dtype=f64), 2)
        assert float(moved) == pytest.approx(1 / math.sin(θ))


def test_what_a_threshold_lets_through_is_bounded_by_the_directions_it_gives_up() -> None:
    """Double Projections, Theorem 4.2: `‖(T − I)C‖ ≤ ‖(G − F)(U₂ᵀF)⁺‖ σ_{k+1}` where k directions are held."""
    C, F, G = columns(30, 18, 4, 4)
    C = C * torch.logspace(0, -4, 18, dtype=f64)
    σ = torch.linalg.svdvals(C)
    for k in (6, 12):
        space = null_space(C, torch.ones(18, dtype=f64), float((σ[k - 1] + σ[k]) / 2 / σ[0]))
        T = solve(F, G, space, 0.0)
        Z = (G - F) @ torch.linalg.pinv(space.project(F))
        leak = torch.linalg.matrix_norm(T.left @ (T.right.T @ C), 2)
        assert space.free == 30 - k
        assert 0 < leak <= torch.linalg.matrix_norm(Z, 2) * σ[k] * (1 + 1e-9)


def test_the_filter_asks_what_speed_s_unconstrained_edit_would_move() -> None:
    """`ΔW₀ = W (A − S)(I + S)⁻¹`, with means over prompts; here without `W`, once for all layers."""
    C, F, G = columns(16, 40, 5, 5)
    S, A, eye = F @ F.T / 5, G @ F.T / 5, torch.eye(16, dtype=f64)
    T0 = solve(F, G, NullSpace(F[:, :0]), 5 * 1.0)
    Δ = (A - S) @ torch.linalg.inv(eye + S)
    assert torch.allclose(T0.dense() - eye, Δ, atol=1e-10)
    change = (Δ @ C).norm(dim=0)
    sites = [site for site in Toy().sites if site.reads == "tokens"]
    kept, _ = _chosen(project(filter=1.0), T0, C, torch.ones(40, dtype=f64), sites, "tokens", Options())
    assert torch.equal(kept, C[:, change > change.mean()]) and 0 < kept.shape[1] < 40


def test_copies_lie_along_the_direction_that_the_matrices_read_least() -> None:
    model = Toy()
    sites = [site for site in model.sites if site.reads == "tokens"]
    H = sum(model.weight(site).detach().double().T @ model.weight(site).detach().double() for site in sites)
    assert isinstance(H, Tensor)
    v = torch.linalg.eigh(H).eigenvectors[:, 0]
    C, F, G = columns(32, 6, 3, 3)
    T0 = solve(F, G, NullSpace(F[:, :0]), 1.0)
    settings, weights = project(augment=10), torch.ones(6, dtype=f64)
    kept, w = _chosen(settings, T0, C, weights, sites, "tokens", Options(weights=model.weight))
    assert torch.equal(kept[:, :6], C) and 6 < kept.shape[1] < 66 and len(w) == kept.shape[1]
    for copy in kept[:, 6:].T:
        apart = copy[:, None] - C
        beside = (apart - v[:, None] * (v @ apart)).norm(dim=0)
        assert beside.min() < 1e-9  # one scalar along `v`, of one of them
