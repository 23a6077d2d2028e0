"""Layer selectors against a handful of sites."""

from __future__ import annotations

import pytest

from tracelang.plan.family import Site
from tracelang.plan.layers import SelectionError, select
from tracelang.plan.types import GlobSites, ReadsSites

SITES = tuple(
    Site("denoiser", f"layers.{i}.to_{name}.weight", (4, 2), role, "mid", "tokens", True)
    for i in range(2)
    for name, role in (("k", "key"), ("v", "value"))
)


def test_a_glob_matches_a_name_with_or_without_its_ending() -> None:
    for pattern in ("*.to_k", "*.to_k.weight"):
        found = select(GlobSites(kind="glob", pattern=pattern), SITES)
        assert found and all(site.tensor.endswith("to_k.weight") for site in found)
    with pytest.raises(SelectionError, match="nearest names"):
        select(GlobSites(kind="glob", pattern="*.to_K"), SITES)


OUTSIDE = (
    Site("denoiser", "layers.0.conv.weight", (4, 18), "convolution", "mid", None, False, kernel=(3, 3)),
    Site("denoiser", "conv_in.weight", (4, 18), "convolution", None, None, False, kernel=(3, 3)),
)


def test_what_a_selector_chose_it_chooses_where_convolutions_stand_beside() -> None:
    for pattern in ("*", "layers.*", "layers.0.*"):
        assert select(GlobSites(pattern), (*SITES, *OUTSIDE)) == select(GlobSites(pattern), SITES)
    for reads in ("text", "denoiser"):
        assert select(ReadsSites(reads), (*SITES, *OUTSIDE)) == SITES
    assert select(ReadsSites("everything"), (*SITES, *OUTSIDE)) == (*SITES, *OUTSIDE)
    assert select(GlobSites("conv_*"), (*SITES, *OUTSIDE)) == OUTSIDE[1:]  # where no other is called so
    assert select(GlobSites("*.conv"), (*SITES, *OUTSIDE)) == OUTSIDE[:1]


def test_cross_is_all_of_the_attention_that_reads_the_text() -> None:
    query = Site("denoiser", "layers.0.to_q.weight", (4, 4), "query", "mid", None, False, cross=True)
    own = Site("denoiser", "layers.0.self.to_q.weight", (4, 4), "query", "mid", None, False)
    assert select(ReadsSites("cross"), (*SITES, query, own)) == (*SITES, query)


def test_denoiser_is_every_matrix_of_a_block_however_many_roles_a_family_has() -> None:
    before = Site("denoiser", "embed.weight", (4, 2), "text_in", None, "tokens", False)
    inner = Site("denoiser", "layers.0.ff.weight", (4, 2), "feedforward", "mid", None, False)
    chosen = ReadsSites("denoiser")
    assert select(chosen, (before, *SITES)) == SITES
    assert select(chosen, (before, *SITES, inner)) == (*SITES, inner)
    with pytest.raises(SelectionError, match="the layers denoiser match nothing"):
        select(chosen, (before,))
