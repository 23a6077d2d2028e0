"""How to run, as opposed to what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.plan.family import Site
from tracelang.progress import Progress


@dataclass(frozen=True, slots=True)
class Options:
    """Where to tell of progress, where a training keeps itself, where trajectories are kept: no result depends on it.

    One does on `autocast`, which computes the student in bfloat16. Trajectories stay in the model's dtype: the losses
    need `δ`, a small difference of two predictions, which bfloat16 gets wrong by a tenth.

    `micro_batch` rows of a training step are computed at once (None: all), and with `checkpointing` a block's inner
    states are computed twice instead of kept. What is learnt is the same up to the order of sums, so neither is in a
    plan or in a state's key: a run that ran out of memory goes on with less.

    `weights` gives the matrices of the unedited model, to passes that need these and no more of it.
    """

    progress: Progress | None = None
    state: Path | None = None
    cache: Path | None = None
    autocast: bool = False
    micro_batch: int | None = None
    checkpointing: bool = False
    weights: Callable[[Site], Tensor] | None = None

    def weight(self, site: Site) -> Tensor:
        """The unedited matrix `[out, in]`. Raises `EngineError` where there are none."""
        if self.weights is None:
            raise EngineError(f"{site.tensor}: the unedited matrices are needed; give the model itself")
        return self.weights(site).detach()
