"""Number formats against values worked out by hand; what rounding and merging leave of an edit."""

from __future__ import annotations

import math

import pytest
import torch

from tests.engine.toy import Toy
from tracelang.evidence.rounding import (
    BLOCK,
    NF4,
    ROUNDED,
    apart,
    bf16,
    fp8,
    int8,
    linear,
    merged,
    nf4,
    rounded,
    survival,
)


def test_int8_has_a_scale_for_each_row() -> None:
    row = torch.tensor([[127.0, 1.4, -0.6, 0.4], [1.27, 0.014, -0.006, 0.004], [0, 0, 0, 0]])
    kept = torch.tensor([[127.0, 1.0, -1.0, 0.0], [1.27, 0.01, -0.01, 0.0], [0, 0, 0, 0]])
    assert torch.allclose(int8(row), kept)


def test_fp8_has_three_bits_of_mantissa_and_stops_at_448() -> None:
    given = torch.tensor([1.0, 1.06, 1.07, 17.0, 447.0, 500.0, -1e6, 2.0**-9, 2.0**-11])
    assert fp8(given).tolist() == [1.0, 1.0, 1.125, 16.0, 448.0, 448.0, -448.0, 2.0**-9, 0.0]


def test_bf16_keeps_eight_bits() -> None:
    assert bf16(torch.tensor([1.0, 1 + 2.0**-7, 1 + 2.0**-9])).tolist() == [1.0, 1 + 2.0**-7, 1.0]


def test_nf4_has_sixteen_levels_which_are_quantiles_of_a_normal_distribution() -> None:
    """Seven below zero and eight above, each evenly spaced in probability up to an offset (arXiv 2305.14314)."""
    normal, offset = torch.distributions.Normal(0.0, 1.0), 0.9677083
    above = normal.icdf(torch.linspace(offset, 0.5, 9)[:-1].double())
    below = -normal.icdf(torch.linspace(offset, 0.5, 8)[:-1].double())
    levels = torch.cat([above, below, torch.zeros(1).double()]).sort().values
    assert torch.allclose(levels / levels.max(), torch.tensor(NF4).double(), atol=1e-6)


def test_nf4_takes_the_nearest_level_of_a_block_scaled_by_its_largest() -> None:
    block = torch.zeros(2 * BLOCK)
    block[0], block[1], block[2] = -4.0, 4 * 0.33, 4 * 0.04  # levels 0.3379 and 0.0796, 0: nearer to 0.0796
    block[BLOCK], block[BLOCK + 1] = 0.5, 0.5 * 0.039  # just below the middle of 0 and 0.0796
    found = nf4(block.view(2, BLOCK)).flatten()
    assert found[:3].tolist() == pytest.approx([-4.0, 4 * NF4[11], 4 * NF4[8]])
    assert found[BLOCK : BLOCK + 2].tolist() == [0.5, 0.0]
    odd = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))  # no whole number of blocks
    assert nf4(odd).shape == odd.shape and float(nf4(odd).abs().max()) == float(odd.abs().max())


@pytest.mark.parametrize("to", ROUNDED)
def test_what_is_rounded_stays_as_it_is_and_the_model_is_a_copy(to: str) -> None:
    model = Toy()
    before = {name: weight.clone() for name, weight in linear(model).items()}
    other = rounded(model, to)
    assert all(torch.equal(weight, before[name]) for name, weight in linear(model).items())
    assert any(not torch.equal(weight, before[name]) for name, weight in linear(other).items())
    assert all(torch.allclose(ROUNDED[to](weight), weight, atol=1e-6) for weight in linear(other).values())


def edited(size: float) -> Toy:
    """A toy whose matrices all moved by noise of so much of their own size."""
    toy, random = Toy(), torch.Generator().manual_seed(1)
    for weight in linear(toy).values():
        weight.data += size * weight.data.std() * torch.randn(weight.shape, generator=random)
    return toy


def test_rounding_keeps_an_edit_on_the_mean_and_adds_noise_to_a_small_one() -> None:
    """An entry smaller than a bin moves by a whole one as often as keeps the mean (docs/methods.md §5.9)."""
    small, large = (survival(Toy(), edited(size), "int8") for size in (0.002, 0.2))
    assert small is not None and large is not None
    assert large.share == pytest.approx(1, abs=0.02) and large.cosine > 0.99
    assert small.share == pytest.approx(1, abs=0.35) and small.cosine < 0.7
    assert survival(Toy(), Toy(), "int8") is None


def test_survival_of_a_random_matrix_is_1_on_the_mean() -> None:
    random = torch.Generator().manual_seed(2)
    W = torch.randn(256, 512, generator=random)
    Δ = 0.002 * torch.randn(256, 512, generator=random)
    δQ = int8(W + Δ) - int8(W)
    q = float(W.abs().amax(1).mean()) / 127
    assert float((δQ * Δ).sum() / Δ.square().sum()) == pytest.approx(1, abs=0.1)
    moved = float((δQ.abs() > q / 2).float().mean())
    assert moved == pytest.approx(float(Δ.abs().mean()) / q, rel=0.2)  # with probability |Δ|/q


def test_a_merge_at_0_is_the_edit_and_at_1_the_base() -> None:
    base, edit = Toy(), edited(0.3)
    for share, whole in ((0.0, edit), (1.0, base)):
        found = dict(merged(base, edit, share).denoiser.named_parameters())
        assert all(torch.equal(found[name], weight) for name, weight in whole.denoiser.named_parameters())
    half = merged(base, edit, 0.5)
    for name, weight in linear(half).items():
        assert torch.allclose(weight, (linear(base)[name] + linear(edit)[name]) / 2, atol=1e-6)


def test_a_copy_is_changed_alone() -> None:
    model = Toy()
    other = apart(model)
    other.denoiser.inner.weight.data.zero_()  # type: ignore[union-attr, operator]
    assert float(model.denoiser.inner.weight.abs().sum()) > 0 and math.isfinite(other.guidance)
