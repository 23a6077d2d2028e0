"""A model whose adapters are scaled, row by row, by the noise level of what it is asked to predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from tracelang.engine.errors import EngineError
from tracelang.engine.gate import Gate
from tracelang.engine.low_rank import LowRank
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.family import Site


class Gated:
    """Delegates to a model; while it predicts, `scale` holds the gate's value for every row. `recomputed`: it stays
    there until the next prediction, because the backward pass computes blocks again.

    Every module that an adapter sits in must keep one row per prediction, first.
    """

    def __init__(self, model: Model, gate: Gate, recomputed: bool = False) -> None:
        self.model = model
        self.gate = gate
        self.recomputed = recomputed
        self.scale: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        self.scale = self.gate.scale(times, self.model.clock)
        try:
            return self.model.predict(latents, times, states)
        finally:
            if not self.recomputed:
                self.scale = None

    def scaled(self, output: Tensor) -> Tensor:
        """`output [n, …]` times each row's scale. Raises `EngineError` where the wrapper was gone round."""
        if self.scale is None:
            raise EngineError("a gated edit acts only through the model that `applied` yields")
        return output * self.scale.to(output).view(-1, *[1] * (output.dim() - 1))

    @contextmanager
    def adapters(self, changes: Mapping[Site, LowRank]) -> Iterator[Gated]:
        """Add `scale · up down x` to the outputs of the sites' modules."""

        def hook(up: Tensor, down: Tensor) -> Any:
            def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
                return output + self.scaled(inputs[0] @ down.T @ up.T)

            return add

        handles = []
        try:
            for site, change in changes.items():
                weight = self.model.weight(site)
                handles.append(
                    self.model.denoiser.get_submodule(site.module).register_forward_hook(
                        hook(change.up.to(weight), change.down.to(weight))
                    )
                )
            yield self
        finally:
            for handle in handles:
                handle.remove()
