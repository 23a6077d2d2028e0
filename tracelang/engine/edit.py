"""The edit: what a plan changes in one model, as factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite, rounded
from tracelang.engine.found import Found
from tracelang.engine.gate import Gate
from tracelang.engine.gated import Gated
from tracelang.engine.low_rank import Dense, LowRank, add
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
    """`W' = P (W T) + Δ + Σ_i up_i down_i` at every site; nothing at all where no concept takes part.

    `maps` are `T`; sites that share a text input and a pass share one `TextMap` object. `turns` are `P`, orthogonal,
    `[out, out]` in float64. `trained` are `Δ`, dense, `[out, in]`, of passes that train the weights themselves. With a
    `gate` the adapters' part is scaled by noise level, and the edit cannot be written into one checkpoint. `figures` is
    what the passes measured on the way, ready for JSON.

    `masks` change nothing: by a concept's targets the numbers of a matrix, `[out, in]`, that a later pass may train.
    Nor does what was `found`: the inputs that brought an erasure's targets back.
    """

    maps: Mapping[Site, TextMap] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    gate: Gate | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    turns: Mapping[Site, Tensor] = field(default_factory=dict)
    trained: Mapping[Site, Tensor] = field(default_factory=dict)
    masks: Mapping[Member, Mapping[Site, Tensor]] = field(default_factory=dict)
    found: Mapping[Member, tuple[Found, ...]] = field(default_factory=dict)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site that changes, each once."""
        adapted = (site for adapter in self.adapters for site in adapter.factors)
        return tuple(dict.fromkeys([*self.maps, *self.turns, *self.trained, *adapted]))

    @property
    def text_maps(self) -> dict[str, TextMap]:
        """The map of each text input (of the last site that reads it, where passes chose different sites)."""
        return {site.reads: text_map for site, text_map in self.maps.items() if site.reads is not None}

    def mapped(self, maps: Mapping[Site, TextMap]) -> Edit:
        """A closed form `T₂` on top: `(P W T + Δ + up down) T₂ = P W (T T₂) + Δ T₂ + up (down T₂)`.

        Sites that shared an earlier map share what is made of it.
        """
        composed, made = dict(self.maps), dict[TextMap, TextMap]()
        for site, later in maps.items():
            earlier = self.maps.get(site)
            if earlier is None:
                composed[site] = later
                continue
            made[earlier] = made.get(earlier) or earlier.then(later)
            composed[site] = made[earlier]
        trained = {site: _rows_mapped(site, Δ, maps[site]) if site in maps else Δ for site, Δ in self.trained.items()}

        def after(site: Site, change: LowRank) -> LowRank:
            if site not in maps:
                return change
            return LowRank(change.up, _rows_mapped(site, change.down, maps[site]))

        return replace(self, maps=composed, trained=trained, adapters=self._adapted(after))

    def turned(self, turns: Mapping[Site, Tensor]) -> Edit:
        """An orthogonal left map `P₂` on top: `P₂ (P W T + Δ + up down) = (P₂ P) W T + P₂ Δ + (P₂ up) down`.

        It turns the columns that an edit may change alone (`Site.part`). Raises `EngineError` where it does not fit.
        """
        for site, P in turns.items():
            if P.shape != (site.shape[0], site.shape[0]):
                raise EngineError(f"{site.tensor}: a left map of {list(P.shape)} does not fit {site.shape[0]} rows")
        composed = dict(self.turns) | {
            site: exact(P) @ self.turns[site] if site in self.turns else exact(P) for site, P in turns.items()
        }
        trained = {
            site: (exact(turns[site]) @ exact(Δ)).to(Δ) if site in turns else Δ for site, Δ in self.trained.items()
        }

        def after(site: Site, change: LowRank) -> LowRank:
            return LowRank(exact(turns[site]) @ change.up, change.down) if site in turns else change

        return replace(self, turns=composed, trained=trained, adapters=self._adapted(after))

    def moved(self, changes: Mapping[Site, Tensor]) -> Edit:
        """Dense changes on top, of weights that were trained after all that was before."""
        trained = dict(self.trained)
        for site, Δ in changes.items():
            trained[site] = trained[site] + Δ if site in trained else Δ
        return replace(self, trained=trained)

    def masked(self, targets: Sequence[Member]) -> dict[Site, Tensor]:
        """What may be trained of each site for some concepts together: what any of their masks leaves."""
        found = dict[Site, Tensor]()
        for member in targets:
            for site, mask in self.masks.get(member, {}).items():
                found[site] = found[site] | mask if site in found else mask
        return found

    def told(self, label: str, measured: Any, priors: Sequence[Any] = ()) -> Edit:
        """With what a pass measured, under its label, and what its priors hold."""
        held = {f"{label}.prior": priors} if priors else {}
        return replace(self, figures={**self.figures, label: measured, **held})

    def patched(self, site: Site, weight: Tensor) -> Tensor:
        """The site's new weights in the old ones' dtype and shape: what a loaded model runs with.

        Summed in float64 (float32 on MPS, which has no wider type) and rounded once; what Δ leaves alone stays bit for
        bit. A checkpoint is written from `delta`, in float64 too (`checkpoint.merge`): the two agree to one unit in the
        last place of the dtype, in float32 of the matrix's largest entry. Raises `EngineError` for a gated edit, and
        where the old matrix or the new one holds NaN or infinity.
        """
        if self.gate is not None:
            raise EngineError("steer: an edit gated by noise level cannot be merged into a checkpoint")
        finite(site.tensor, weight)
        old = weight.flatten(1)
        W = old.to(torch.float32 if weight.device.type == "mps" else torch.float64, copy=True)
        self._map_and_turn(site, W)
        factors = self._factors(site)
        for change in factors:
            W[:, site.part].addmm_(change.up.to(W), change.narrowed(site.part).down.to(W))
        Δ = self.trained.get(site)
        if Δ is not None:
            W += Δ.to(W)
        new = rounded(site.tensor, W, weight.dtype)
        if Δ is not None and not (factors or site in self.maps or site in self.turns):
            new = torch.where(Δ.to(weight.device).ne(0), new, old)  # -0 + 0 is 0
        return new.view_as(weight)

    def delta(self, site: Site, weight: Tensor) -> LowRank | Dense:
        """`W' − W` from the site's original matrix (any gate fully open): as factors, whose rank may be above its own,
        and whole where a pass trained the weights themselves or turned them.

        Raises `EngineError` where that holds NaN or infinity.
        """
        weight = finite(site.tensor, weight).flatten(1)
        parts = self._factors(site)
        remedy = "it cannot be stored; train with a lower rate or in float32"
        if self.whole(site):
            W = exact(weight)
            D = W.clone()
            self._map_and_turn(site, D)
            D -= W
            for change in parts:
                D += change.dense()
            if site in self.trained:
                D += exact(self.trained[site])
            return Dense(finite(f"the change of {site.tensor}", D, remedy))
        if site in self.maps:
            text_map, part = self.maps[site], site.part
            mapped = LowRank(exact(weight[:, part]) @ text_map.left, text_map.right.T)
            parts = [mapped.widened(part, site.shape[1]), *parts]
        change = add(parts)
        for factor in (change.up, change.down):
            finite(f"the change of {site.tensor}", factor, remedy)
        return change if change.up.any() and change.down.any() else LowRank(change.up[:, :0], change.down[:0])

    def deltas(self, source: Model | Callable[[Site], Tensor]) -> Deltas:
        """`delta` of every site, computed whenever it is asked for and then let go: together they may be larger than
        the model. The original matrices are taken from a model, or asked for one by one.
        """
        return Deltas(self, source if callable(source) else source.weight)

    def whole(self, site: Site) -> bool:
        """Whether the site's change is of no low rank."""
        return site in self.turns or site in self.trained

    def to(self, target: Any) -> Patch:
        """Patch the weights of a loaded model or of a diffusers pipeline in place; `undo()` of the result restores
        them bit for bit. Raises `EngineError` for a gated edit; use `applied` there.
        """
        weights = {site: _parameter(target, site) for site in self.sites}
        new = {site: self.patched(site, weight.detach()) for site, weight in weights.items()}
        return _replace(weights, new)

    def _factors(self, site: Site) -> list[LowRank]:
        return [adapter.factors[site] for adapter in self.adapters if site in adapter.factors]

    def _adapted(self, after: Callable[[Site, LowRank], LowRank]) -> tuple[Adapter, ...]:
        return tuple(
            replace(one, factors={site: after(site, change) for site, change in one.factors.items()})
            for one in self.adapters
        )

    def _map_and_turn(self, site: Site, W: Tensor) -> None:
        """`W ← P (W T)` in place, in W's own precision, on the columns that an edit may change."""
        part = W[:, site.part]
        if site in self.maps:
            apply_(part, self.maps[site])
        if site in self.turns:
            part.copy_(self.turns[site].to(W) @ part)


@dataclass(frozen=True, slots=True, eq=False)
class Deltas(Mapping[Site, LowRank | Dense]):
    """`Edit.delta` by site: of the matrices that `weight` gives, and of any other stored copy by `of`."""

    edit: Edit
    weight: Callable[[Site], Tensor]

    def __getitem__(self, site: Site) -> LowRank | Dense:
        if not (site in self.edit.maps or self.edit.whole(site) or self.edit._factors(site)):
            raise KeyError(site)
        return self.of(site, self.weight(site))

    def of(self, site: Site, weight: Tensor) -> LowRank | Dense:
        """The change of a copy of the site's matrix: of maps the copy's own, `P W_c T − W_c`, of what was trained as it
        was.
        """
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
    patch = replace(edit, adapters=(), gate=None).to(model)
    try:
        factors = {site: edit._factors(site) for site in edit.sites}
        with Gated(model, edit.gate).adapters({site: add(parts) for site, parts in factors.items() if parts}) as gated:
            yield gated
    finally:
        patch.undo()


def _rows_mapped(site: Site, rows: Tensor, T: TextMap) -> Tensor:
    """Rows `[n, in]` times `T`, in float64 and back in their dtype, on the columns that an edit may change."""
    mapped = exact(rows).clone()
    mapped[:, site.part] += (mapped[:, site.part] @ T.left) @ T.right.T
    return mapped.to(rows)


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
