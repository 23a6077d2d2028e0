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


def test_denoiser_is_every_matrix_of_a_block_however_many_roles_a_family_has() -> None:
    before = Site("denoiser", "embed.weight", (4, 2), "text_in", None, "tokens", False)
    inner = Site("denoiser", "layers.0.ff.weight", (4, 2), "feedforward", "mid", None, False)
    chosen = ReadsSites("denoiser")
    assert select(chosen, (before, *SITES)) == SITES
    assert select(chosen, (before, *SITES, inner)) == (*SITES, inner)
    with pytest.raises(SelectionError, match="the layers denoiser match nothing"):
        select(chosen, (before,))
