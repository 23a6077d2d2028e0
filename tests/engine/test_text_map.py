"""The closed form against the textbook (docs/methods.md §7, items 1–3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.counting import allocated
from tracelang.engine.errors import EngineError
from tracelang.engine.text_map import Constraints, Solution, apply_, fit, smallest_singular_value, solve, spectrum


def random(d: int, n: int, m: int, seed: int = 0) -> Constraints:
    g = torch.Generator().manual_seed(seed)
    F, G, P = (torch.randn(d, k, generator=g, dtype=torch.float64) for k in (n, n, m))
    a, w = (torch.rand(k, generator=g, dtype=torch.float64) + 0.5 for k in (n, m))
    return Constraints(F, G, a, P, w)


def textbook(W: torch.Tensor, p: Constraints, λ: float) -> torch.Tensor:
    """§1.1 as written: one layer, one outer product a pair, an explicit inverse."""
    C = λ * torch.eye(W.shape[1], dtype=W.dtype)
    B = λ * W
    for f, g, a in zip(p.F.T, p.G.T, p.a, strict=True):
        C, B = C + a * torch.outer(f, f), B + a * torch.outer(W @ g, f)
    for x, w in zip(p.P.T, p.w, strict=True):
        C, B = C + w * torch.outer(x, x), B + w * torch.outer(W @ x, x)
    return B @ torch.linalg.inv(C)


SHAPES = [(40, 3, 10), (40, 30, 60), (40, 60, 10), (40, 1, 0), (24, 24, 24)]


@pytest.mark.parametrize(("d", "n", "m"), SHAPES)
def test_one_map_is_the_textbook_solution_of_every_layer(d: int, n: int, m: int) -> None:
    problem = random(d, n, m)
    solution = solve(problem, 0.05)
    for seed, out in ((1, 16), (2, 64)):
        W = torch.randn(out, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        expected = textbook(W, problem, solution.ridge)
        assert (W @ solution.map.dense() - expected).norm() <= 1e-10 * expected.norm()
        assert (expected - W).norm() > 0.1 * W.norm()  # control: the edit does something
        in_place = apply_(W.float(), solution.map)
        assert (in_place.double() - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize(("d", "n", "m"), SHAPES)
def test_the_objective_has_no_gradient_at_the_solution(d: int, n: int, m: int) -> None:
    p = random(d, n, m)
    solution = solve(p, 0.05)
    W = torch.randn(8, d, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def gradient(X: torch.Tensor) -> float:
        X = X.clone().requires_grad_()
        loss = (p.a * (X @ p.F - W @ p.G).square().sum(0)).sum() + (p.w * ((X - W) @ p.P).square().sum(0)).sum()
        (loss + solution.ridge * (X - W).square().sum()).backward()
        return float(X.grad.norm())

    assert gradient(W @ solution.map.dense()) <= 1e-9 * gradient(W)


@pytest.mark.parametrize(("d", "n", "m"), SHAPES)
def test_rank_is_at_most_the_number_of_erased_states(d: int, n: int, m: int) -> None:
    T = solve(random(d, n, m), 0.05).map
    excess = T.dense() - torch.eye(d, dtype=torch.float64)
    assert torch.linalg.matrix_rank(excess, rtol=1e-10) == min(n, d)
    assert torch.allclose(T.right.T @ T.right, torch.eye(T.right.shape[1], dtype=torch.float64), atol=1e-12)


def test_preserving_without_limit_leaves_the_preserved_states_alone() -> None:
    p = random(40, 5, 10)
    free = fit(p, solve(p, 0.05))
    bound = replace(p, w=p.w * 1e9)
    held = fit(bound, solve(bound, 0.05))
    assert held["leak"] < 1e-7 < 0.001 < free["leak"]
    assert held["residual"] < 1.0


def test_a_vanishing_ridge_moves_the_erased_states_exactly_and_a_large_one_not_at_all() -> None:
    p = random(40, 5, 10)
    assert fit(p, solve(p, 1e-10))["residual"] < 1e-7
    assert fit(p, solve(p, 1e8))["residual"] > 0.999


def test_relative_ridge_does_not_depend_on_the_scale_of_the_states() -> None:
    p = random(40, 5, 10)
    scaled = Constraints(100 * p.F, 100 * p.G, p.a, 100 * p.P, p.w)
    assert torch.allclose(solve(p, 0.1).map.dense(), solve(scaled, 0.1).map.dense(), atol=1e-12)
    assert not torch.allclose(solve(p, 0.1, True).map.dense(), solve(scaled, 0.1, True).map.dense(), atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES))
def test_order_does_not_matter_in_a_single_bit(seed: int, shape: tuple[int, int, int]) -> None:
    p = random(*shape)
    g = torch.Generator().manual_seed(seed)
    i, j = torch.randperm(shape[1], generator=g), torch.randperm(shape[2], generator=g)
    shuffled = Constraints(p.F[:, i], p.G[:, i], p.a[i], p.P[:, j], p.w[j])
    one, other = solve(p, 0.05).map, solve(shuffled, 0.05).map
    assert torch.equal(one.left, other.left) and torch.equal(one.right, other.right)


def test_repeated_states_are_the_same_as_one_with_their_weights_added() -> None:
    p = random(40, 4, 6)
    twice = Constraints(
        torch.cat([p.F, p.F[:, :1]], 1),
        torch.cat([p.G, p.G[:, :1] + 1], 1),
        torch.cat([p.a, p.a[:1] * 3]),
        torch.cat([p.P, p.P], 1),
        torch.cat([p.w, p.w]),
    )
    W = torch.randn(8, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    solution = solve(twice, 0.05)
    assert solution.map.left.shape[1] == 4
    assert torch.allclose(W @ solution.map.dense(), textbook(W, twice, solution.ridge), atol=1e-10)


@pytest.mark.parametrize("times", [1, 3, 7])
def test_states_that_are_their_own_targets_give_the_identity_itself(times: int) -> None:
    """However often they come: a mean of equal targets must be that target, not its neighbour in float64."""
    p = random(40, 6, 5)
    own = Constraints(p.F.repeat(1, times), p.F.repeat(1, times), p.a.repeat(times), p.P, p.w)
    assert solve(own, 0.05).map.left.count_nonzero() == 0
    other = Constraints(own.F, own.G + 1, own.a, p.P, p.w)  # control
    assert solve(other, 0.05).map.left.count_nonzero() > 0


def test_a_second_edit_on_top_composes() -> None:
    first, second = solve(random(40, 3, 5), 0.05).map, solve(random(40, 4, 5, seed=9), 0.05).map
    assert torch.allclose(first.then(second).dense(), first.dense() @ second.dense(), atol=1e-12)


def test_sums_of_two_concepts_solve_both_together_and_one_after_the_other_is_another_edit() -> None:
    """`T = B C⁻¹` from each concept's own sums `Σ a f fᵀ` and `Σ a g fᵀ`, and what both hold once."""
    one, two = random(40, 3, 6), random(40, 4, 6, seed=9)
    two = replace(two, P=one.P, w=one.w)
    both = Constraints(
        torch.cat([one.F, two.F], 1), torch.cat([one.G, two.G], 1), torch.cat([one.a, two.a]), one.P, one.w
    )
    held = 0.3 * torch.eye(40, dtype=torch.float64) + (one.P * one.w) @ one.P.T
    C, B = held.clone(), held.clone()
    for part in (one, two):
        C, B = C + (part.F * part.a) @ part.F.T, B + (part.G * part.a) @ part.F.T
    T = solve(both, 0.3, True).map.dense()
    assert torch.allclose(T, torch.linalg.solve(C, B.T).T, atol=1e-10)
    after = solve(one, 0.3, True).map.then(solve(two, 0.3, True).map).dense()
    assert (after - T).norm() > 0.05 * (T - torch.eye(40, dtype=torch.float64)).norm()


def test_it_is_the_low_rank_form_of_one_small_system() -> None:
    """`T = I + a (G − F) K⁻¹ Uᵀ` with `U = C₀⁻¹F`, `K = I + a FᵀU`, where all erased states weigh the same."""
    p = random(40, 5, 10)
    a, eye = 1.7, torch.eye(40, dtype=torch.float64)
    U = torch.linalg.solve(0.3 * eye + (p.P * p.w) @ p.P.T, p.F)
    K = torch.eye(5, dtype=torch.float64) + a * p.F.T @ U
    T = solve(replace(p, a=torch.full_like(p.a, a)), 0.3, True).map.dense()
    assert torch.allclose(T, eye + a * (p.G - p.F) @ torch.linalg.solve(K, U.T), atol=1e-10)


@pytest.mark.parametrize(("d", "n", "m"), SHAPES)
def test_figures_tell_the_truth(d: int, n: int, m: int) -> None:
    p = random(d, n, m)
    solution: Solution = solve(p, 0.05)
    T, found = solution.map.dense(), fit(p, solution) | spectrum(solution.map)
    C = solution.ridge * torch.eye(d, dtype=T.dtype) + (p.F * p.a) @ p.F.T + (p.P * p.w) @ p.P.T
    assert found["sigma_min"] == pytest.approx(float(torch.linalg.svdvals(T)[-1]), rel=1e-6)
    assert found["condition"] == pytest.approx(float(torch.linalg.cond(C)), rel=0.5)
    assert found["residual"] == pytest.approx(float((T @ p.F - p.G).norm() / (p.F - p.G).norm()), rel=1e-9)


def test_the_inverse_map_undoes_an_edit_as_its_smallest_singular_value_says() -> None:
    T = solve(random(40, 3, 5), 0.05).map
    assert smallest_singular_value(T) > 0
    assert torch.allclose(T.dense() @ torch.linalg.inv(T.dense()), torch.eye(40, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_states_that_are_not_numbers_are_an_error(bad: float) -> None:
    p = random(40, 3, 5)
    p.F[3, 1] = bad
    with pytest.raises(EngineError, match="NaN or infinity"):
        solve(p, 0.05)


@pytest.mark.parametrize("rows_lie_together", [True, False])
def test_the_solve_grows_with_the_preserved_states_not_with_their_square(rows_lie_together: bool) -> None:
    """`statements` gives `P` as the transpose of rows; a caller of one's own may not."""

    def problem(m: int) -> Constraints:
        p = random(32, 48, m)
        return p if not rows_lie_together else replace(p, P=p.P.T.contiguous().T)

    def gathered(p: Constraints) -> None:  # control: columns of such a view, some at a time, copy all of it each time
        for some in torch.split(torch.arange(p.P.shape[1]), 1024):
            p.P.index_select(1, some)

    few, many = problem(1 << 13), problem(1 << 15)
    assert allocated(lambda: fit(many, solve(many, 0.1))) < 4.5 * allocated(lambda: fit(few, solve(few, 0.1)))
    if rows_lie_together:
        assert allocated(lambda: gathered(many)) > 8 * allocated(lambda: gathered(few))


def test_how_the_states_lie_in_memory_does_not_matter_in_a_single_bit() -> None:
    p = random(40, 30, 60)
    laid = replace(p, F=p.F.T.contiguous().T, G=p.G.T.contiguous().T, P=p.P.T.contiguous().T)
    one, other = solve(p, 0.05).map, solve(laid, 0.05).map
    assert torch.equal(one.left, other.left) and torch.equal(one.right, other.right)
