"""Rounds that search and erase (docs/methods.md §4.1 and §7)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.plans import LATE, bound, erasure, plan, refine, run, steer
from tests.engine.test_null_space import project
from tests.engine.toy import Toy
from tracelang.engine.edit import Adapter, Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.low_rank import LowRank
from tracelang.engine.options import Options
from tracelang.engine.passes.harden import Reading, read
from tracelang.engine.statements import constraints, held_columns
from tracelang.engine.text_map import TextMap, orthonormal
from tracelang.plan.bind import BindError
from tracelang.plan.types import Plan
from tracelang.semantics.passes.harden import Harden
from tracelang.semantics.passes.project import Project
from tracelang.semantics.passes.rotate import Rotate

f64 = torch.float64


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def hardened(*before: Any, preserve: dict[str, float] | None = None, degree: float = 1.0, **changes: Any) -> Plan:
    aim = erasure("cat", anchor=("horse",), degree=degree)
    return plan((aim,), *before, Harden(**changes), preserve={"dog": 1.0} if preserve is None else preserve)


def told(edit: Edit, name: str = "tokens") -> dict[str, Any]:
    return edit.figures["harden"][name]  # type: ignore[no-any-return]


def test_two_dimensions_by_hand() -> None:
    """One layer W = I with W' = diag(1/2, 1), λ = 1/4: R = diag(1/2 / (1/4 + 1/4), 1 / (1 + 1/4)) = diag(1, 4/5)."""
    now = torch.diag(torch.tensor([0.5, 1], dtype=f64))
    reading = Reading(torch.eye(2, dtype=f64), now @ now, now)
    F = torch.eye(2, dtype=f64)
    E = reading.closest(F, 0.25)
    assert torch.allclose(E, torch.diag(torch.tensor([1, 0.8], dtype=f64)))
    assert reading.left(F[:, :1], E[:, :1], 0.25) == pytest.approx(0.5)  # (1/2 − 1)² + 1/4
    assert reading.left(F[:, 1:], E[:, 1:], 0.25) == pytest.approx(0.2)  # (4/5 − 1)² + (4/5)²/4


def test_the_search_from_t_and_h_is_the_sum_over_layers() -> None:
    layers = [random(o, 16, seed=o) for o in (8, 24, 40)]
    T = orthonormal(random(16, 3), random(16, 3, seed=1))
    H = sum(W.T @ W for W in layers)
    assert isinstance(H, Tensor)
    now = [W @ T.dense() for W in layers]
    R = torch.linalg.inv(0.3 * torch.eye(16) + sum(W.T @ W for W in now)) @ sum(
        new.T @ old for new, old in zip(now, layers, strict=True)
    )
    F = random(16, 5, seed=2)
    reading = Reading(H, H, H).after(T)
    assert torch.allclose(reading.closest(F, 0.3), R @ F, atol=1e-9)
    E = R @ F
    left = sum(float((new @ E - old @ F).square().sum()) for new, old in zip(now, layers, strict=True))
    whole = sum(float((W @ F).square().sum()) for W in layers)
    assert reading.left(F, E, 0.3) == pytest.approx((left + 0.3 * float(E.square().sum())) / whole)


def test_without_a_penalty_an_invertible_map_is_undone_whatever_was_erased() -> None:
    H = random(40, 16).T @ random(40, 16)
    T = orthonormal(random(16, 3), random(16, 3, seed=1))
    F = random(16, 5, seed=2)
    reading = Reading(H, H, H).after(T)
    E = reading.closest(F, 1e-12)
    assert torch.allclose(E, torch.linalg.solve(T.dense(), F), atol=1e-6) and abs(reading.left(F, E, 0.0)) < 1e-9
    assert reading.left(F, reading.closest(F, 1.0), 1.0) > 0.01


def test_a_round_makes_the_search_dearer_and_what_is_read_is_the_edit_s_own_matrices() -> None:
    model = Toy()
    edit = run(hardened(refine(ridge=0.1), rounds=3), model)
    for name in ("tokens", "pooled"):
        rounds, left = told(edit, name)["rounds"], told(edit, name)["left"]
        assert len(rounds) == 3 and left["residual"] > rounds[0]["residual"] > 0
        assert all(one["leak"] <= one["worst_leak"] for one in rounds)
    sites = [site for site in model.sites if site.reads == "tokens"]
    after = read(edit, sites, Options(weights=model.weight))
    problem = constraints(hardened(), hardened().active, (), model, ["tokens"], "all")["tokens"]
    E = after.closest(problem.F, told(edit)["penalty"])
    assert float(E.norm() / problem.F.norm()) == pytest.approx(told(edit)["left"]["price"])
    control = read(
        run(plan((erasure("cat", anchor=("horse",)),), refine(ridge=0.1)), model), sites, Options(weights=model.weight)
    )
    assert not torch.allclose(control.now, after.now)


def test_the_first_round_by_hand_after_an_adapter() -> None:
    """What the matrices are now is asked, not a map: an adapter on one layer changes what is found."""
    model = Toy()
    sites = [site for site in model.sites if site.reads == "tokens"]
    change = LowRank(random(sites[0].shape[0], 2), random(2, sites[0].shape[1], seed=1))
    edit = Edit(adapters=(Adapter((("cat",),), "cat", {sites[0]: change}),))
    reading = read(edit, sites, Options(weights=model.weight))
    old = [model.weight(site).detach().double() for site in sites]
    new = [W + change.up @ change.down if site == sites[0] else W for site, W in zip(sites, old, strict=True)]
    assert torch.allclose(reading.now, sum(W.T @ W for W in new), atol=1e-9)  # type: ignore[arg-type]
    assert torch.allclose(reading.cross, sum(a.T @ b for a, b in zip(new, old, strict=True)), atol=1e-9)  # type: ignore[arg-type]
    assert torch.allclose(reading.H, sum(W.T @ W for W in old), atol=1e-9)  # type: ignore[arg-type]


def test_the_round_is_the_ridge_problem_of_the_found_states() -> None:
    model = Toy()
    edit = run(hardened(rounds=1, penalty_absolute=0.1, ridge_absolute=0.1, keep_weight=0.5), model)
    asked = hardened()
    problem = constraints(asked, asked.active, asked.preserve, model, ["tokens"], "all")["tokens"]
    sites = [site for site in model.sites if site.reads == "tokens"]
    H = sum(model.weight(site).detach().double().T @ model.weight(site).detach().double() for site in sites)
    assert isinstance(H, Tensor)
    E = torch.linalg.solve(0.1 * torch.eye(32, dtype=f64) + H, H @ problem.F)
    P = problem.P.double()
    C = 0.1 * torch.eye(32, dtype=f64) + E @ E.T + 0.5 * (P * problem.w) @ P.T
    hand = torch.eye(32, dtype=f64) + (problem.G - E) @ E.T @ torch.linalg.inv(C)
    assert torch.allclose(edit.text_maps["tokens"].dense(), hand, atol=1e-8)


def test_two_rounds_are_the_papers_loop_over_the_layers() -> None:
    """Each layer by itself, matrix for matrix: `e'` from `W'` and `W`, then UCE's update of `W'` around `W'`, with
    targets of `W'`, of all states but the start token's; and the next round from there.
    """
    model, asked = Toy(), hardened()
    problem = constraints(asked, asked.active, asked.preserve, model, ["tokens"], "all")["tokens"]
    P, eye = problem.P.double(), torch.eye(32, dtype=f64)
    sites = [site for site in model.sites if site.reads == "tokens"]
    old = [model.weight(site).detach().double() for site in sites]
    now = [W.clone() for W in old]
    for _ in range(2):
        S = 0.3 * eye + torch.stack([W.T @ W for W in now]).sum(0)
        E = torch.linalg.solve(S, torch.stack([W.T @ W0 for W, W0 in zip(now, old, strict=True)]).sum(0) @ problem.F)
        C = 0.2 * eye + E @ E.T + 0.5 * (P * problem.w) @ P.T
        now = [W @ (0.2 * eye + problem.G @ E.T + 0.5 * (P * problem.w) @ P.T) @ torch.linalg.inv(C) for W in now]
    edit = run(hardened(rounds=2, penalty_absolute=0.3, ridge_absolute=0.2, keep_weight=0.5), model)
    for site, W0, W in zip(sites, old, now, strict=True):
        assert torch.allclose(edit.patched(site, W0), W, atol=1e-7)
        assert (W - W0).norm() > 0.05 * W0.norm()


def test_after_a_projection_what_was_exact_stays_exact() -> None:
    model, step = Toy(), project()
    P, _ = held_columns(hardened(), hardened().preserve, model, ["tokens", "pooled"], last=True)

    def moved(T: TextMap, name: str) -> float:
        return float((T.left @ (T.right.T @ P[name].double())).norm() / P[name].norm())

    exact, free = run(hardened(step, rounds=4), model), run(hardened(refine(), rounds=4), model)
    alone = run(plan((erasure("cat", anchor=("horse",)),), step, preserve={"dog": 1.0}), model)
    for name in ("tokens", "pooled"):
        assert moved(exact.text_maps[name], name) < 1e-9
        assert moved(free.text_maps[name], name) > 1e-4  # control
        assert not torch.allclose(exact.text_maps[name].dense(), alone.text_maps[name].dense())


def test_concepts_are_erased_together_and_their_order_is_nothing() -> None:
    model = Toy()
    both = [erasure("cat", anchor=("horse",)), erasure("fox", anchor=("horse",))]
    one, other = (run(plan(tuple(order), Harden(), preserve={"dog": 1.0}), model) for order in (both, both[::-1]))
    assert torch.allclose(one.text_maps["tokens"].dense(), other.text_maps["tokens"].dense(), atol=1e-9)
    apart = [run(plan((aim,), Harden(), preserve={"dog": 1.0}), model).text_maps["tokens"] for aim in both]
    assert not torch.allclose(apart[0].then(apart[1]).dense(), one.text_maps["tokens"].dense(), atol=1e-3)


def test_a_degree_is_how_far_a_found_state_goes() -> None:
    model = Toy()
    eye = torch.eye(32, dtype=f64)
    whole, half = (run(hardened(rounds=1, degree=p), model).text_maps["tokens"].dense() - eye for p in (1.0, 0.5))
    assert torch.allclose(half, whole / 2, atol=1e-9)


def test_a_vanishing_penalty_is_refused() -> None:
    flat = Reading(*(torch.zeros(3, 3, dtype=f64),) * 3)
    with pytest.raises(EngineError, match=r"harden: the matrices are too nearly dependent .* raise it"):
        flat.closest(torch.eye(3, dtype=f64), 0.0)


@pytest.mark.parametrize("closed", [Harden(), Rotate(prior=0.0)])
def test_what_reads_the_edit_s_matrices_is_refused_after_a_gate_before_anything_is_trained(closed: Any) -> None:
    p = plan((erasure("cat", anchor=("horse",)),), steer(gate=LATE), closed)
    with pytest.raises(
        BindError, match=f"^{closed.kind}: it cannot follow a gated pass, whose edit is none of weights"
    ):
        bound(p, Toy())
    assert bound(plan((erasure("cat"),), steer(gate=LATE), refine()), Toy())  # which reads none


def test_the_projection_is_the_last_one_before() -> None:
    model = Toy()
    two = (project(threshold=0.5, least_angle=0.0), Project(label="again", preserved_tokens="last", tokens="last"))
    P, _ = held_columns(hardened(), hardened().preserve, model, ["tokens"], last=True)
    later = run(hardened(*two, rounds=1), model).text_maps["tokens"]
    first = run(plan((erasure("cat", anchor=("horse",)),), *two, preserve={"dog": 1.0}), model).text_maps["tokens"]
    rest = torch.linalg.solve(first.dense(), later.dense()) - torch.eye(32, dtype=f64)
    assert (rest @ P["tokens"].double()).norm() < 1e-7 * P["tokens"].norm() and rest.norm() > 1e-3
