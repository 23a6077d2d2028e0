from __future__ import annotations

from typing import Literal, get_args

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, integer, number, sites, window
from tracelang.semantics.kinds import Pass, Term
from tracelang.semantics.tables import MAX_SEED
from tracelang.semantics.values import Layers, Window

Loss = Literal["prediction", "velocity"]


@dataclass(frozen=True, slots=True)
class Steer(Pass):
    """Training one low-rank adapter for each erased concept along trajectories of the unedited model.

    `guidance` None: the model's own; `gate` None: mergeable. `loss`: squared errors of the denoiser's own prediction,
    or of the velocity that it stands for, which weighs the noise levels alike in every family.
    """

    kind: str = "steer"
    label: str = "steer"
    on: Layers = sites("text", "layers that get an adapter")
    rank: int = integer(8, "rank of each adapter", low=1, high=512, more=True)
    steps: int = integer(400, "training steps for each erased concept", low=1, high=1_000_000, more=True)
    rate: float = number(
        1e-3,
        "peak learning rate: linear warm-up over a tenth of the run (at most 20 steps), then half a cosine",
        above=0,
        high=1,
    )
    loss: Loss = choice("prediction", "what the squared errors are of, see below", among=get_args(Loss))
    batch: int = integer(
        16, "rows of erased prompts in a step; as many of preserved ones", low=1, high=65_536, more=True
    )
    trajectories: int = integer(
        80,
        "trajectories sampled for each erased concept; of the preserved together twice as many, at least one a member",
        low=1,
        high=1_000_000,
        more=True,
    )
    sampler_steps: int = integer(20, "sampler steps of a trajectory", low=2, high=1000)
    guidance: float | None = number(
        None, "classifier-free guidance while trajectories are sampled", low=0, absent="model"
    )
    refresh: int = integer(
        0, "after so many steps, sample trajectories anew from the model in training; 0: never", low=0, high=1_000_000
    )
    gate: Window | None = window(
        None, "scale the adapters by noise level; such an edit cannot be written to a file", absent="none"
    )
    seed: int = integer(0, "start of every random number of the pass", low=0, high=MAX_SEED)
    terms: tuple[Term, ...] = ()
