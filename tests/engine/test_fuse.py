"""Fusion against the formula as printed (docs/methods.md §2.6), and its limits (docs/methods.md §7, item 4)."""

from __future__ import annotations

import pytest
import torch

from tests.engine.plans import bound, erasure, fuse, fused, plan, refine, run, steer
from tests.engine.test_edit import random_adapter, same, weights
from tests.engine.toy import Toy
from tracelang.engine.activations import inputs
from tracelang.engine.edit import Adapter, Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.low_rank import LowRank
from tracelang.engine.passes.fuse import Grams, fusion, measure
from tracelang.engine.text_map import TextMap, orthonormal
from tracelang.plan.family import Site
from tracelang.plan.prompts import EMPTY, edit_prompts
from tracelang.plan.types import RoleSites
from tracelang.semantics.passes.fuse import groups

A, B = ("a",), ("b",)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_low_rank_form_is_the_printed_formula() -> None:
    d, out, λ2 = 20, 12, 0.7
    E = {A: random(d, 6), B: random(d, 9, seed=1)}
    S = {name: e @ e.T for name, e in E.items()}
    P = random(d, 30, seed=2) @ random(d, 30, seed=2).T
    T = orthonormal(random(d, 3, seed=3) / 5, random(d, 3, seed=4))
    Δ = {name: LowRank(random(out, 2, seed=5 + i), random(2, d, seed=7 + i)) for i, name in enumerate(E)}
    W = random(out, d, seed=9)
    found = fusion(Grams(S, P), 0.01, λ2)
    λ = 0.01 * float(S[A].trace() + S[B].trace()) / d
    W_ = W @ T.dense()
    C = S[A] + S[B] + λ2 * P + λ * torch.eye(d, dtype=W.dtype)
    printed = W_ @ (S[A] + S[B]) + sum(Δ[name].dense() @ S[name] for name in E) + λ2 * W @ P + λ * W_
    expected = torch.linalg.solve(C, printed.T).T
    got = W @ found.text_map(T).dense() + sum(found.adapter([name], Δ[name]).dense() for name in E)
    assert torch.allclose(got, expected, atol=1e-10)
    assert (expected - W_ - Δ[A].dense() - Δ[B].dense()).norm() > 0.1  # control: it is not the plain sum


def test_one_concept_without_preservation_reproduces_its_adapter_on_its_own_states() -> None:
    E, Δ = random(20, 5), LowRank(random(8, 2), random(2, 20))
    got = fusion(Grams({A: E @ E.T}, torch.zeros(20, 20, dtype=E.dtype)), 1e-10, 0.0).adapter([A], Δ)
    assert torch.allclose(got.dense() @ E, Δ.dense() @ E, atol=1e-6)


def test_concepts_with_orthogonal_states_do_not_interact() -> None:
    Q, _ = torch.linalg.qr(random(20, 20))
    E = {A: Q[:, :4] @ random(4, 9), B: Q[:, 4:8] @ random(4, 9, seed=1)}
    Δ = {name: LowRank(random(8, 2, seed=i), random(2, 20, seed=i + 2)) for i, name in enumerate(E)}
    both = fusion(Grams({name: e @ e.T for name, e in E.items()}, torch.zeros(20, 20, dtype=Q.dtype)), 1e-10, 0.0)
    total = sum(both.adapter([name], Δ[name]).dense() for name in E)
    for name, e in E.items():
        assert torch.allclose(total @ e, Δ[name].dense() @ e, atol=1e-6)


def test_preserving_without_limit_restores_the_original() -> None:
    E, P = random(20, 5), random(20, 40, seed=1)
    found = fusion(Grams({A: E @ E.T}, P @ P.T), 1e-6, 1e9)
    Δ, T = LowRank(random(8, 2), random(2, 20)), orthonormal(random(20, 3), random(20, 3, seed=1))
    assert found.adapter([A], Δ).norm() < 1e-6 * Δ.norm()
    assert torch.allclose(found.text_map(T).dense(), torch.eye(20, dtype=E.dtype), atol=1e-6)


def test_grams_are_those_of_the_prompts_without_the_start_token() -> None:
    grams = measure(plan((erasure("cat"),), preserve={"dog": 0.5}), Toy(), ["tokens"])["tokens"]
    encode = Toy().encode(["a cat", "a small kitty", "the cat here", "the small kitty here"]).inputs["tokens"].double()
    E = encode[:, 1:].flatten(0, 1)
    assert torch.allclose(grams.S["cat",], E.T @ E)
    nothing = Toy().encode([""]).inputs["tokens"][0].double()
    dogs = Toy().encode(["a dog", "the dog here"]).inputs["tokens"].double()[:, 1:].flatten(0, 1)
    assert torch.allclose(grams.P, nothing.T @ nothing + 0.5 * dogs.T @ dogs)


def test_a_plans_adapters_become_one_that_is_nearer_to_each_than_their_sum() -> None:
    model = Toy()
    p = plan((erasure("cat"), erasure("ship")), refine(), fuse(keep_weight=1e-6))
    maps = run(plan((erasure("cat"), erasure("ship")), refine()), model).maps
    adapters = (random_adapter(model, "cat", 0), random_adapter(model, "ship", 1))
    (one,) = (edit := fused(p, model, Edit(maps, adapters))).adapters
    assert (one.label, one.targets) == ("cat, ship", (("cat",), ("ship",))) and edit.figures["fuse"] == {"fused": 2}
    assert len({id(edit.maps[site]) for site in edit.maps if site.reads == "tokens"}) == 1
    cat = model.encode(["a cat"]).inputs["tokens"][0, 2:].double().T
    site = model.sites[0]
    W = model.weight(site).detach().double()
    wanted = Edit(maps, adapters[:1]).patched(site, W) @ cat
    summed = Edit(maps, adapters).patched(site, W) @ cat
    assert (edit.patched(site, W) @ cat - wanted).norm() < 0.5 * (summed - wanted).norm()


def test_an_edit_that_was_fused_before_fuses_again_as_all_that_it_stands_for() -> None:
    E, P = random(20, 12), random(20, 40, seed=1)
    S = {A: E[:, :5] @ E[:, :5].T, B: E[:, 5:] @ E[:, 5:].T}
    found, Δ = fusion(Grams(S, P @ P.T), 1e-6, 0.1), LowRank(random(8, 2), random(2, 20))
    apart = found.adapter([A], Δ).dense() + found.adapter([B], Δ).dense()
    assert torch.allclose(found.adapter([A, B], Δ).dense(), apart, atol=1e-9)
    p = plan((erasure("cat"), erasure("ship")), refine(), fuse())
    once = fused(p, Toy(), Edit({}, (random_adapter(Toy(), "cat"), random_adapter(Toy(), "ship"))))
    again = Edit({}, (*once.adapters, random_adapter(Toy(), "cat", 2)))
    (one,) = fused(p, Toy(), again).adapters
    assert one.targets == (("cat",), ("ship",))


def test_two_erasures_with_the_same_words_have_grams_of_their_own() -> None:
    p = plan((erasure("cat"), erasure("pet")))
    words = tuple(c.model_copy(update={"names": ("cat",)}) if c.name == "pet" else c for c in p.concepts)
    S = measure(p.model_copy(update={"concepts": words}), Toy(), ["tokens"])["tokens"].S
    assert set(S) == {("cat",), ("pet",)} and not torch.equal(*S.values())


def test_a_single_adapter_passes_unchanged() -> None:
    model = Toy()
    edit = Edit({}, (random_adapter(model),))
    p = plan((erasure("cat"),), fuse())
    assert fused(p, model, edit) is edit


QUERIES = tuple(site for site in Toy().sites if site.role == "query")
BOTH = plan((erasure("cat"), erasure("ship")), fuse(keep_weight=1e-6))


def on_queries(model: Toy) -> tuple[Adapter, ...]:
    """Two adapters where the input is mixed with image and time."""
    parts = {
        name: {
            site: LowRank(random(24, 1, seed=4 * i + k), random(1, 24, seed=9 + 4 * i + k))
            for k, site in enumerate(QUERIES)
        }
        for i, name in enumerate(("cat", "ship"))
    }
    return tuple(Adapter(((name,),), name, factors) for name, factors in parts.items())


def test_what_is_seen_of_a_text_input_in_sampling_is_the_gram_of_its_states() -> None:
    model = Toy()
    p = plan((erasure("cat"),))
    members = [(edit_prompts(p, ("cat",)), 1.0), ([EMPTY], 0.5)]
    found = inputs(model, model.sites, members, "calibrate")
    key, value = model.sites[:2]
    assert found.of(key) is found.of(value) and found.of(key) is not found.of(QUERIES[0])
    e = model.encode([prompt.text for prompt in members[0][0]]).inputs["tokens"].double().flatten(0, 1)
    nothing = model.encode([""]).inputs["tokens"][0].double()
    assert torch.allclose(found.of(key), e.T @ e + 0.5 * nothing.T @ nothing, rtol=1e-4, atol=1e-2)


def test_what_is_seen_of_a_mixed_input_depends_on_the_edit_that_samples() -> None:
    model = Toy()
    members = [(edit_prompts(BOTH, ("cat",)), 1.0)]
    before = inputs(model, QUERIES, members, "calibrate")
    patch = Edit({}, on_queries(model)[:1]).to(model)
    during = inputs(model, QUERIES, members, "calibrate")
    patch.undo()
    after = inputs(model, QUERIES, members, "calibrate")
    assert all(torch.equal(before.of(site), after.of(site)) for site in QUERIES)
    assert not torch.allclose(before.of(QUERIES[1]), during.of(QUERIES[1]), rtol=1e-3)


def test_adapters_of_mixed_inputs_fuse_nearer_to_each_than_their_sum() -> None:
    model, p = Toy(), BOTH
    weights = [model.weight(site).detach().clone() for site in QUERIES]
    adapters = on_queries(model)
    edit = fused(p, model, Edit({}, adapters))
    assert all(torch.equal(model.weight(site), weight) for site, weight in zip(QUERIES, weights, strict=True))
    assert [one.targets for one in edit.adapters] == [((("cat",)), (("ship",)))]
    site = QUERIES[0]  # of the first layer: what it reads is the same under every edit
    for own in adapters:
        S = inputs(model, [site], [(edit_prompts(p, own.targets[0]), 1.0)], "elsewhere").of(site)
        wanted, summed, got = (
            delta.dense()
            for delta in (own.factors[site], Edit({}, adapters).delta(site, weights[0]), edit.delta(site, weights[0]))
        )
        far = [float(((change - wanted) @ S * (change - wanted)).sum()) for change in (summed, got)]
        assert far[1] < 0.5 * far[0]


def dense(edit: Edit) -> dict[Site, torch.Tensor]:
    (one,) = edit.adapters
    return {site: change.dense() for site, change in one.factors.items()}


def test_layers_whose_grams_do_not_fit_together_are_measured_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, model = dense(fused(BOTH, Toy(), Edit({}, on_queries(Toy())))), Toy()
    monkeypatch.setattr("tracelang.semantics.passes.fuse.GRAMS", 8 * QUERIES[0].shape[1] ** 2)
    assert [len(group) for group in groups({site: site.shape[1] for site in QUERIES})] == [1, 1]
    apart = dense(fused(BOTH, model, Edit({}, on_queries(model))))
    assert all(torch.allclose(apart[site], whole[site], atol=1e-9) for site in QUERIES)
    on = plan(BOTH.erase, steer(on=RoleSites(role="query")), fuse())
    told = bound(on, model).passes[-1].cost.frozen
    assert told == sum(model.evaluations) == 2 * 2 * 20 * (2 * 16 + 16)


def test_what_layers_read_is_measured_with_progress_and_a_stop_leaves_the_model_alone() -> None:
    model, told = Toy(), list[tuple[int, int]]()
    before = weights(model)
    fused(BOTH, model, Edit({}, on_queries(model)), lambda what, done, of: told.append((done, of)))
    assert told[:20] == [(16 * (i + 1), 320) for i in range(20)] and told.count((320, 320)) == 3

    def stop(what: str, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fused(BOTH, model, Edit({}, on_queries(model)), stop)
    assert same(weights(model), before) and not any(m._forward_pre_hooks for m in model.denoiser.modules())


def test_dependent_states_without_ridge_are_an_error() -> None:
    E = random(20, 2)
    with pytest.raises(EngineError, match="raise the ridge"):
        fusion(Grams({A: E @ E.T}, torch.zeros(20, 20, dtype=E.dtype)), 1e-30, 0.0)
    assert isinstance(orthonormal(E, E), TextMap)
