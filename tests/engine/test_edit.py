"""An edit as factors: applied, undone, added up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.engine.plans import erasure, part, plan, refine, run
from tests.engine.toy import Toy
from tracelang.checkpoint.merge import merged
from tracelang.engine.edit import Adapter, Edit, applied
from tracelang.engine.errors import EngineError
from tracelang.engine.gate import Gate
from tracelang.engine.low_rank import LowRank, compress
from tracelang.engine.options import Options
from tracelang.engine.passes import refine as refining
from tracelang.engine.text_map import TextMap
from tracelang.plan.family import Site
from tracelang.plan.types import RoleSites


def weights(model: Toy) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.denoiser.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def random_adapter(model: Toy, concept: str = "cat", seed: int = 0, scale: float = 0.2) -> Adapter:
    g = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return scale * torch.randn(shape, generator=g, dtype=torch.float64)

    text = [site for site in model.sites if site.text]
    factors = {site: LowRank(drawn(site.shape[0], 2), drawn(2, site.shape[1])) for site in text}
    return Adapter(((concept,),), concept, factors)


def edited(model: Toy) -> Edit:
    return Edit(run(plan((erasure("cat"),), refine()), model).maps, (random_adapter(model),))


def test_every_matrix_becomes_w_t_plus_its_adapter_and_comes_back_bit_for_bit() -> None:
    model = Toy()
    edit, before = edited(model), weights(model)
    with applied(model, edit):
        for site in edit.sites:
            W = before[site.tensor].double()
            expected = W @ edit.maps[site].dense()
            if site.text:
                expected = expected + edit.adapters[0].factors[site].dense()
            assert torch.allclose(model.weight(site).double(), expected, rtol=0, atol=2e-6)
            assert not torch.equal(model.weight(site), before[site.tensor])
    assert same(weights(model), before)


def test_one_map_object_is_shared_by_all_matrices_of_a_text_input() -> None:
    edit = run(plan((erasure("cat"),), refine()), Toy())
    by_input = {
        name: {id(edit.maps[site]) for site in edit.maps if site.reads == name} for name in ("tokens", "pooled")
    }
    assert [len(ids) for ids in by_input.values()] == [1, 1] and set(edit.text_maps) == {"tokens", "pooled"}


def test_deltas_are_exact() -> None:
    model = Toy()
    edit = edited(model)
    deltas = edit.deltas(model)
    for site, delta in deltas.items():
        expected = edit.patched(site, model.weight(site).detach().double()) - model.weight(site).detach().double()
        assert torch.allclose(delta.dense(), expected, atol=1e-6 * float(expected.norm()))
        assert delta.norm() == pytest.approx(float(expected.norm()), rel=1e-6)
    from_mapping = edit.deltas({site: model.weight(site) for site in edit.sites}.__getitem__)
    assert all(torch.equal(from_mapping[site].up, deltas[site].up) for site in deltas)


def test_a_copy_of_a_matrix_gets_its_own_map_and_the_adapters_as_trained() -> None:
    model = Toy()
    mapped = edited(model)
    site = mapped.sites[0]
    trained = LowRank(torch.ones(site.shape[0], 1).double(), torch.ones(1, site.shape[1]).double())
    edit = Edit(mapped.maps, (Adapter((), "trained", {site: trained}),))
    weight = model.weight(site).detach().double()
    deltas, copied = edit.deltas(model), weight.roll(1, 0)
    alone = Edit(mapped.maps).delta(site, copied).dense()
    assert torch.allclose(deltas.of(site, copied).dense(), alone + trained.dense(), atol=1e-12)
    assert not torch.allclose(deltas.of(site, copied).dense(), deltas[site].dense(), atol=1e-3)
    assert torch.equal(deltas.of(site, weight).dense(), deltas[site].dense())


def test_compression_drops_what_is_not_there() -> None:
    g = torch.Generator().manual_seed(0)
    up, down = torch.randn(20, 3, generator=g).double(), torch.randn(3, 10, generator=g).double()
    padded = LowRank(torch.cat([up, up, up * 0], 1), torch.cat([down, down, down]))
    assert compress(padded).rank == 3
    assert torch.allclose(compress(padded).dense(), 2 * up @ down, atol=1e-10)
    assert compress(LowRank(up * 0, down)).rank == 0


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_compressed_factors_have_signs_of_their_own(rank: int) -> None:
    """A singular pair may be turned round, and LAPACK turns it as its blocks fall: by the number of threads."""
    g = torch.Generator().manual_seed(rank)
    up, down = torch.randn(20, rank, generator=g).double(), torch.randn(rank, 10, generator=g).double()
    one = compress(LowRank(up, down))
    rows = torch.arange(one.rank)
    assert (one.down[rows, one.down.abs().argmax(1)] > 0).all()
    for signs in (-torch.ones(rank), torch.tensor([-1.0, 1.0]).repeat(rank)[:rank]):
        other = compress(LowRank(up * signs, signs[:, None] * down))
        assert torch.allclose(other.up, one.up, atol=1e-12) and torch.allclose(other.down, one.down, atol=1e-12)
    assert torch.allclose(one.dense(), up @ down, atol=1e-12)


def test_all_degrees_zero_is_no_edit_at_all() -> None:
    model = Toy()
    edit = run(plan((erasure("cat", degree=0),), refine()), model)
    assert edit == Edit() and edit.sites == () and edit.deltas(model) == {}
    before = weights(model)
    patch = edit.to(model)
    assert same(weights(model), before)
    patch.undo()


def test_a_pipeline_is_patched_like_a_model() -> None:
    model = Toy()
    pipe, edit, before = SimpleNamespace(denoiser=model.denoiser), edited(model), weights(model)
    patch = edit.to(pipe)
    once = weights(model)
    assert not same(once, before)
    with patch.undone():
        assert same(weights(model), before)
    assert same(weights(model), once)
    patch.undo()
    patch.undo()
    assert same(weights(model), before)


def test_half_precision_weights_are_edited_in_double_precision_and_rounded_once() -> None:
    model = Toy()
    edit = edited(model)
    site = edit.sites[0]
    W = model.weight(site).detach().to(torch.bfloat16)
    assert edit.patched(site, W).dtype == torch.bfloat16
    assert torch.equal(edit.patched(site, W), edit.patched(site, W.double()).bfloat16())


def test_a_gated_adapter_acts_inside_its_window_only_and_cannot_be_merged() -> None:
    model = Toy()
    adapter = random_adapter(model)
    clock = model.clock
    gate = Gate(clock.logsnr(500), float("inf"))
    gated, merged = Edit({}, (adapter,), gate), Edit({}, (adapter,))
    x, states = model.noise([1, 2]), model.encode(["a cat", "a cat"])
    times = torch.tensor([900.0, 50.0])
    frozen = model.predict(x, times, states)
    with applied(model, merged) as m:
        full = m.predict(x, times, states)
    with applied(model, gated) as m:
        found = m.predict(x, times, states)
        with pytest.raises(EngineError, match="only through the model"):
            model.predict(x, times, states)
    late, early = (full - frozen)[1].norm(), (full - frozen)[0].norm()
    assert (found - full)[1].norm() < 1e-3 * late and (found - frozen)[0].norm() < 1e-3 * early
    assert torch.equal(model.predict(x, times, states), frozen)
    with pytest.raises(EngineError, match="cannot be merged"):
        gated.to(model)


def test_a_closed_form_on_top_of_adapters_and_of_another_closed_form() -> None:
    model = Toy()
    first = edited(model)
    on_keys = part(refine(on=RoleSites(role="key")), model)
    second = refining.run(on_keys, plan((erasure("ship"),)), model, first, Options())
    (new,) = {id(second.maps[site]): second.maps[site] for site in second.maps if site.role == "key"}.values()
    for site in first.sites:
        W = model.weight(site).detach().double()
        W1 = first.patched(site, W)
        W2 = second.patched(site, W)
        if site.role == "key":
            T2 = torch.linalg.solve(first.maps[site].dense(), new.dense())
            assert torch.allclose(W2, W1 @ T2, atol=1e-9)
        else:
            assert torch.equal(W2, W1)


def test_an_edit_with_infinite_factors_is_refused(tmp_path: Path) -> None:
    model = Toy()
    site = model.sites[0]
    broken = TextMap(torch.full((32, 1), float("inf")).double(), torch.ones(32, 1).double())
    before = weights(model)
    with pytest.raises(EngineError, match="NaN or infinity"):
        Edit({site: broken}).to(model)
    assert same(weights(model), before)


def orthogonal(rows: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(rows, rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(drawn).Q


def trained(model: Toy, seed: int = 5) -> dict[Site, torch.Tensor]:
    """A dense change of every other number of every matrix."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for site in model.sites:
        Δ = torch.randn(site.shape, generator=generator) / 10
        Δ.view(-1)[::2] = 0
        found[site] = Δ
    return found


def test_later_maps_and_turns_act_on_all_that_earlier_passes_did() -> None:
    """`P₂ (P W T + Δ + up down) T₂`, whichever of the two comes first."""
    model = Toy()
    site = next(site for site in model.sites if site.text)
    first, second = edited(model).maps[site], edited(Toy(1)).maps[site]
    P, P2 = orthogonal(site.shape[0]), orthogonal(site.shape[0], 1)
    adapter, Δ = random_adapter(model), trained(model)[site]
    W = model.weight(site).detach().double()
    before = P @ W @ first.dense() + Δ.double() + adapter.factors[site].dense()
    edit = Edit({site: first}, (adapter,), turns={site: P}, trained={site: Δ})
    assert torch.allclose(edit.patched(site, W), before, atol=1e-12)
    for later in (
        edit.mapped({site: second}).turned({site: P2}),
        edit.turned({site: P2}).mapped({site: second}),
    ):
        assert torch.allclose(later.patched(site, W), P2 @ before @ second.dense(), atol=1e-6)
        assert torch.allclose(later.delta(site, W).dense() + W, P2 @ before @ second.dense(), atol=1e-6)
    assert edit.turned({}) == edit and edit.mapped({}) == edit


def test_a_left_map_of_another_size_is_refused() -> None:
    model = Toy()
    site = model.sites[0]
    with pytest.raises(EngineError, match=r"a left map of \[3, 3\] does not fit 24 rows"):
        Edit().turned({site: orthogonal(3)})


def test_a_left_map_turns_only_the_columns_that_may_change() -> None:
    site = Site("denoiser", "pooled.weight", (4, 6), "pooled", None, "pooled", False, (0, 2))
    W, P = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), orthogonal(4)
    new = Edit().turned({site: P}).patched(site, W)
    assert torch.equal(new[:, 2:], W[:, 2:])
    assert torch.allclose(new[:, :2].double(), P @ W[:, :2].double(), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_were_trained_alone_keep_every_number_that_was_not(dtype: torch.dtype) -> None:
    model = Toy()
    edit = Edit(trained=trained(model))
    assert set(edit.sites) == set(model.sites)
    for site in edit.sites:
        W = model.weight(site).detach().to(dtype)
        W.view(-1)[0] = -0.0
        new, Δ = edit.patched(site, W), edit.trained[site]
        bits = torch.int32 if dtype == torch.float32 else torch.int16
        assert torch.equal(new[Δ == 0].view(bits), W[Δ == 0].view(bits))  # -0 too
        assert torch.equal(new[Δ != 0], (W.double() + Δ.double()).to(dtype)[Δ != 0])
        assert torch.equal(merged(W, edit.delta(site, W)).view(bits), new.view(bits))


def test_a_convolution_is_edited_as_the_matrix_of_its_patches() -> None:
    site = Site("denoiser", "conv.weight", (4, 18), "query", None, None, False, kernel=(3, 3))
    W = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    Δ = torch.randn(4, 18, generator=torch.Generator().manual_seed(1))
    edit = Edit(trained={site: Δ})
    assert site.stored == W.shape and edit.patched(site, W).shape == W.shape
    assert torch.equal(edit.patched(site, W).flatten(1), (W.flatten(1).double() + Δ.double()).float())
    assert edit.delta(site, W).shape == (4, 18)


def test_whole_changes_are_put_into_a_model_and_taken_out_bit_for_bit() -> None:
    model = Toy()
    before = weights(model)
    edit = Edit(trained=trained(model)).turned({site: orthogonal(site.shape[0]) for site in model.sites})
    with applied(model, edit):
        assert not any(torch.equal(model.weight(site), before[site.tensor]) for site in edit.sites)
    assert same(weights(model), before)
