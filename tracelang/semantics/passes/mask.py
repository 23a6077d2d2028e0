from __future__ import annotations

from typing import Literal, get_args

from tracelang.records import dataclass, replace
from tracelang.semantics.fields import choice, integer, number, sites, window
from tracelang.semantics.kinds import Cost, Left, Met, Pass
from tracelang.semantics.tables import MAX_SEED
from tracelang.semantics.values import WHOLE, Auto, Layers, Window

Keep = Literal["largest", "smallest"]
BESIDE, STATE = 20, 2
"""Bytes that each weight takes, in memory and on disk: its value in float32, what it was, the gradient and the order of
its sizes, and which numbers a run and all runs leave.
"""


@dataclass(frozen=True, slots=True)
class Mask(Pass):
    """Finding the weights that move most when a concept is pushed away, for later passes to train alone.

    docs/methods.md §4.2: of each matrix the numbers with the largest gradients in every one of several runs.
    """

    kind: str = "mask"
    label: str = "mask"
    on: Layers = sites("text", "layers whose weights are masked")
    share: float = number(0.5, "share of each matrix that a run's mask leaves", above=0, high=1, more=True)
    keep: Keep = choice("largest", "which gradients' weights that is", among=get_args(Keep), later=True)
    seeds: int = integer(5, "runs of each name of a concept, whose masks are intersected", low=1, high=1000)
    steps: int = integer(10, "places of its trajectory at which a run adds up gradients", low=1, high=1_000_000)
    during: Window | Auto = window(WHOLE, "where along the trajectory those lie", later=True)
    sampler_steps: int = integer(20, "sampler steps of a trajectory", low=2, high=1000, later=True)
    guidance: float | None = number(
        None, "classifier-free guidance while trajectories are sampled", low=0, absent="model", later=True
    )
    seed: int = integer(0, "start of every random number of the pass", low=0, high=MAX_SEED, later=True)

    def problem(self, met: Met) -> str | None:
        if isinstance(self.during, Auto):
            return "`during` is a range here; `auto` chooses one for training"
        if not met.inside["during"]:
            return f"its window holds none of the {self.sampler_steps} sampler steps"
        if met.before.gated:
            return "it cannot follow a gated pass, whose edit is none of weights"
        return None

    def cost(self, met: Met) -> Cost:
        """A trajectory and `steps` gradients for each run."""
        runs = [self.seeds * names for names in met.named]
        sampled = sum(n * met.visited * (3 if anchored else 2) for n, anchored in zip(runs, met.anchored, strict=True))
        memory = BESIDE * met.numbers if runs else 0
        return Cost(sampled, self.steps * sum(runs), memory, STATE * met.numbers * bool(runs))

    def leaves(self, met: Met) -> Left:
        return replace(met.before, masked=met.tensors)
