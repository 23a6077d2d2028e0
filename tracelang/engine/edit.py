"""The edit: what a plan changes in one model, as factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite, rounded
from tracelang.engine.gate import Gate
from tracelang.engine.gated import Gated
from tracelang.engine.low_rank import LowRank, add
from tracelang.engine.text_map import TextMap, apply_
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.types import Member


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained change by site, of one erasure's `targets`; of all of them after a fusion. `label` is for people."""

    targets: tuple[Member, ...]
    label: str
    factors: Mapping[Site, LowRank]


@dataclass(frozen=True, slots=True)
class Edit:
    """`W' = W T + Σ_i up_i down_i` at every site; nothing at all where no concept takes part.

    Sites that share a text input and a pass share one `TextMap` object. With a `gate` the adapters' part is scaled
    by noise level, and the edit cannot be written into one checkpoint. `figures` is what the passes measured on the
    way, ready for JSON.
    """

    maps: Mapping[Site, TextMap] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    gate: Gate | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site that changes, each once."""
        return tuple(dict.fromkeys([*self.maps, *(site for adapter in self.adapters for site in adapter.factors)]))

    @property
    def text_maps(self) -> dict[str, TextMap]:
        """The map of each text input (of the last site that reads it, where passes chose different sites)."""
        return {site.reads: text_map for site, text_map in self.maps.items() if site.reads is not None}

    def patched(self, site: Site, weight: Tensor) -> Tensor:
        """The site's new matrix in the old one's dtype: what a loaded model runs with.

        Summed factor by factor in float64 (float32 on MPS, which has no wider type) and rounded once. A checkpoint is
        written from `delta`, in float64 too (`checkpoint.merge`): the two agree to one unit in the last
        place of the dtype, in float32 of the matrix's largest entry. Raises `EngineError` for a gated edit, and where
        the old matrix or the new one holds NaN or infinity.
        """
        if self.gate is not None:
            raise EngineError("steer: an edit gated by noise level cannot be merged into a checkpoint")
        return _patched(site, weight, self.maps.get(site), self._factors(site))

    def delta(self, site: Site, weight: Tensor) -> LowRank:
        """`W' − W` as factors, from the site's original matrix (any gate fully open); their rank may be above its own.

        Raises `EngineError` where that holds NaN or infinity.
        """
        finite(site.tensor, weight)
        parts = self._factors(site)
        if site in self.maps:
            text_map, part = self.maps[site], site.part
            mapped = LowRank(exact(weight[:, part]) @ text_map.left, text_map.right.T)
            parts = [mapped.widened(part, site.shape[1]), *parts]
        change = add(parts)
        for factor in (change.up, change.down):
            finite(f"the change of {site.tensor}", factor, "it cannot be stored; train with a lower rate or in float32")
        return change if change.up.any() and change.down.any() else LowRank(change.up[:, :0], change.down[:0])

    def deltas(self, source: Model | Callable[[Site], Tensor]) -> Deltas:
        """`delta` of every site, computed whenever it is asked for and then let go: together they may be larger than
        the model. The original matrices are taken from a model, or asked for one by one.
        """
        return Deltas(self, source if callable(source) else source.weight)

    def to(self, target: Any) -> Patch:
        """Patch the weights of a loaded model or of a diffusers pipeline in place; `undo()` of the result restores
        them bit for bit. Raises `EngineError` for a gated edit; use `applied` there.
        """
        weights = {site: _parameter(target, site) for site in self.sites}
        new = {site: self.patched(site, weight.detach()) for site, weight in weights.items()}
        return _replace(weights, new)

    def _factors(self, site: Site) -> list[LowRank]:
        return [adapter.factors[site] for adapter in self.adapters if site in adapter.factors]


@dataclass(frozen=True, slots=True, eq=False)
class Deltas(Mapping[Site, LowRank]):
    """`Edit.delta` by site: of the matrices that `weight` gives, and of any other stored copy by `of`."""

    edit: Edit
    weight: Callable[[Site], Tensor]

    def __getitem__(self, site: Site) -> LowRank:
        if site not in self.edit.maps and not self.edit._factors(site):
            raise KeyError(site)
        return self.of(site, self.weight(site))

    def of(self, site: Site, weight: Tensor) -> LowRank:
        """The change of a copy of the site's matrix: of a map the copy's own, `W_c (T − I)`, of adapters as trained."""
        return self.edit.delta(site, weight)

    def __iter__(self) -> Iterator[Site]:
        return iter(self.edit.sites)

    def __len__(self) -> int:
        return len(self.edit.sites)


@dataclass(frozen=True, slots=True)
class Patch:
    """Weights that were replaced in place, and what they were."""

    weights: Mapping[Site, nn.Parameter]
    before: Mapping[Site, Tensor]

    @contextmanager
    def undone(self) -> Iterator[None]:
        """The original weights for the length of a block."""
        edited = {site: weight.detach().clone() for site, weight in self.weights.items()}
        self.undo()
        try:
            yield
        finally:
            for site, weight in self.weights.items():
                weight.data.copy_(edited[site])

    def undo(self) -> None:
        """Put the original weights back. Doing it twice is harmless."""
        for site, weight in self.weights.items():
            weight.data.copy_(self.before[site])


@contextmanager
def applied(model: Model, edit: Edit) -> Iterator[Model]:
    """The model with the edit in it; afterwards its weights are bit for bit what they were.

    A gated edit's adapters act through a wrapper that knows each row's noise level: use the model that is yielded.
    """
    if edit.gate is None:
        patch = edit.to(model)
        try:
            yield model
        finally:
            patch.undo()
        return
    patch = Edit(edit.maps).to(model)
    try:
        factors = {site: edit._factors(site) for site in edit.sites}
        with Gated(model, edit.gate).adapters({site: add(parts) for site, parts in factors.items() if parts}) as gated:
            yield gated
    finally:
        patch.undo()


def _patched(site: Site, weight: Tensor, text_map: TextMap | None, factors: list[LowRank]) -> Tensor:
    finite(site.tensor, weight)
    W = weight.to(torch.float32 if weight.device.type == "mps" else torch.float64, copy=True)
    part = W[:, site.part]
    if text_map is not None:
        apply_(part, text_map)
    for change in factors:
        part.addmm_(change.up.to(W), change.narrowed(site.part).down.to(W))
    return rounded(site.tensor, W, weight.dtype)


def _replace(weights: Mapping[Site, nn.Parameter], new: Mapping[Site, Tensor]) -> Patch:
    before = {site: weight.detach().clone() for site, weight in weights.items()}
    for site, weight in weights.items():
        weight.data.copy_(new[site])
    return Patch(dict(weights), before)


def _parameter(target: Any, site: Site) -> nn.Parameter:
    """The site's matrix in a `Model`, or in a pipeline that holds the component under its name."""
    if hasattr(target, "weight"):
        return target.weight(site)  # type: ignore[no-any-return]
    component: nn.Module = getattr(target, site.component)
    return component.get_parameter(site.tensor)
