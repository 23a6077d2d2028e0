"""What the closed-form inverse undoes, what it cannot, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.evidence.attacks.targets import SMALL, edited, target
from tracelang.evidence.attacks import ATTACKS
from tracelang.evidence.attacks.reading import readings

EXACT = replace(SMALL, left=0.0)


def invertible(d: int, squeeze: float = 0.5) -> Tensor:
    """Orthogonal but for one direction, which it makes shorter."""
    g = torch.Generator().manual_seed(d)
    Q, _ = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64))
    T = Q.clone()
    T[:, 0] *= squeeze
    return T


@pytest.mark.parametrize("squeeze", [1.0, 0.1])
def test_an_invertible_map_is_undone_and_its_price_is_the_length_of_the_inverse(squeeze: float) -> None:
    aim = target(count=4)
    maps = {"tokens": invertible(32, squeeze), "pooled": invertible(16, squeeze)}
    found = ATTACKS["inverse_map"].run(aim, edited(maps), EXACT)
    own = aim.base.encode(aim.prompts).inputs
    prices = []
    for name, T in maps.items():
        e = own[name].double()
        if name == "tokens":  # the pooled matrix is too narrow to tell its states apart from nearly equal ones
            exact = torch.linalg.solve(T, e.flatten(0, 1).T).T.view_as(e)
            assert (found.states.inputs[name].double() - exact).norm() <= 2e-3 * exact.norm()
            assert (e - exact).norm() > 0.5 * exact.norm()  # control: there was something to undo
            prices.append(float(exact.norm() / e.norm()))
        assert found.budget[f"residual_{name}"] <= 1e-3 < 0.3 < found.budget[f"residual_before_{name}"]
    assert found.budget["price_tokens"] == pytest.approx(prices[0], rel=2e-3)
    assert found.price == pytest.approx(max(found.budget["price_tokens"], found.budget["price_pooled"]))


def test_a_lost_direction_stays_lost() -> None:
    """`T = I − uuᵀ` has no inverse: what stays unread is what was along u, and no long state is paid for nothing."""
    aim = target()
    e = aim.base.encode(aim.prompts).inputs["tokens"].double().flatten(0, 1)
    u = torch.linalg.svd(e).Vh[0]
    T = torch.eye(32, dtype=torch.float64) - torch.outer(u, u)
    found = ATTACKS["inverse_map"].run(aim, edited({"tokens": T}), EXACT)
    before, left = found.budget["residual_before_tokens"], found.budget["residual_tokens"]
    assert left > 0.5 * before > 0.2
    W = torch.cat([aim.base.weight(s).detach().double() for s in aim.base.sites if s.reads == "tokens"])
    shortest = torch.linalg.pinv(W @ T, rtol=1e-9) @ (W @ e.T)
    assert found.budget["price_tokens"] == pytest.approx(float(shortest.norm() / e.norm()), rel=0.02)


def test_the_base_is_its_own_inverse() -> None:
    aim = target()
    found = ATTACKS["inverse_map"].run(aim, aim.base, EXACT)
    assert found.price == pytest.approx(1, abs=1e-3)


def test_most_of_an_edit_may_be_undone_at_a_fraction_of_the_price_of_all_of_it() -> None:
    aim = target()
    T = {"tokens": invertible(32, 1e-3)}
    whole, most = (ATTACKS["inverse_map"].run(aim, edited(T), budget) for budget in (EXACT, SMALL))
    assert most.price < 0.2 * whole.price
    assert most.budget["residual_tokens"] <= SMALL.left * most.budget["residual_before_tokens"] + 1e-3
    assert most.budget["price_tokens_entirely"] == whole.budget["price_tokens"]


def test_grams_give_the_least_squares_solution_over_the_stacked_matrices() -> None:
    base, after = target().base, edited()
    stack = [torch.cat([m.weight(s).detach().double() for s in m.sites if s.reads == "tokens"]) for m in (base, after)]
    states = torch.randn(5, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.linalg.lstsq(stack[1], stack[0] @ states.T).solution.T
    reading = readings("test", base, after)["tokens"]
    found, _ = reading.inverse(states, 0.0)
    left = float((stack[1] @ expected.T - stack[0] @ states.T).norm() / (stack[0] @ states.T).norm())
    assert (found - expected).norm() <= 1e-3 * expected.norm()
    assert reading.residual(states, found) == pytest.approx(left, rel=1e-6)
    assert left < reading.residual(states, states)
