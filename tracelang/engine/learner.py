"""What a training changes in a denoiser, in place: adapters (`lora`), or the weights themselves (`weights`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor, nn

from tracelang.engine.low_rank import LowRank
from tracelang.plan.family import Site


class Learner(Protocol):
    """`live` are the parameters that the loss has gradients of; `parts` those that the optimiser steps, float32."""

    @property
    def live(self) -> Sequence[nn.Parameter]: ...

    @property
    def parts(self) -> Sequence[nn.Parameter]: ...

    def forget(self) -> None:
        """No gradient of any."""

    def written(self) -> None:
        """What a step made of `parts`, in the model."""

    def copy(self) -> dict[str, Tensor]:
        """All of it as it stands, by name."""

    def put(self, copied: Mapping[str, Tensor]) -> None:
        """The inverse of `copy`, in place."""

    def off(self) -> AbstractContextManager[None]:
        """The model without it: the teacher."""

    def learnt(self) -> Mapping[Site, LowRank | Tensor]:
        """The change of each site: factors, or dense `[out, in]`."""
