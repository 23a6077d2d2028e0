from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, get_args

from tracelang.records import dataclass, replace
from tracelang.semantics.fields import choice, choices, integer, number, sites, window
from tracelang.semantics.kinds import Cost, Left, Met, Pass, Share, Term
from tracelang.semantics.tables import MAX_SEED
from tracelang.semantics.values import Auto, Layers, Window

Loss = Literal["prediction", "velocity"]
Train = Literal["adapters", "weights"]
Adapters = Literal["each", "joint"]
Search = Literal["prefix", "states", "word"]
Begins = Literal["before", "base"]
Row = TypeVar("Row")
FAMILIES: dict[Search, tuple[str, ...]] = {
    "prefix": ("unlearn_diff_atk", "textual_inversion"),
    "states": ("inverse_map",),
    "word": ("textual_inversion",),
}
"""Of each kind of input, the attacks that look for such a one."""

BESIDE, STATE = 24, 24
"""Bytes that each weight takes which is trained itself: beside the model in memory, for its value in float32, what it
was, its gradient, two moments of it and its change; and on disk, where an old state stays until a new one is whole.
"""
LEVELS, PICTURES, NOISES = 20, 16, 4
"""Where a window is chosen: noise levels, pictures of the concept, and noises of each picture at each level."""


@dataclass(frozen=True, slots=True)
class Steer(Pass):
    """Training low-rank adapters, or the weights themselves, along trajectories of the unedited model.

    There is an adapter for each erased concept, or a joint one; the weights are trained for one concept after another,
    or for all together. `guidance` None: the model's own; `gate` None: mergeable. `loss`: squared errors of the
    denoiser's own prediction, or of the velocity that it stands for, which weighs the noise levels alike in every
    family.
    """

    kind: str = "steer"
    label: str = "steer"
    on: Layers = sites("text", "layers that are trained")
    train: Train = choice(
        "adapters",
        "low-rank adapters, or the weights themselves, which no LoRA holds",
        among=get_args(Train),
        later=True,
    )
    adapters: Adapters = choice(
        "each",
        "an adapter for each erased concept, or a joint one for all of them; of weights, one concept after another",
        among=get_args(Adapters),
        later=True,
    )
    rank: int = integer(8, "rank of each adapter; weights have none", low=1, high=512, more=True)
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
    gate: Window | Auto | None = window(
        None, "scale the adapters by noise level; such an edit cannot be written to a file", absent="none"
    )
    seed: int = integer(0, "start of every random number of the pass", low=0, high=MAX_SEED)
    adversary: tuple[Search, ...] = choices(
        "what is searched while training goes on: inputs that still bring the concept back",
        among=get_args(Search),
        absent="none",
        later=True,
    )
    adversary_length: int = integer(
        8, "states that `states` looks for, and embeddings of `prefix`", low=1, high=64, more=True, later=True
    )
    adversary_steps: int = integer(20, "steps of one search", low=1, high=10_000, more=True, later=True)
    adversary_every: int = integer(10, "training steps from one search to the next", low=1, high=1_000_000, later=True)
    adversary_after: int = integer(0, "training steps before the first search", low=0, high=1_000_000, later=True)
    adversary_rate: float = number(
        0.1, "peak learning rate of a search, in units of the spread of what it looks for", above=0, high=10, later=True
    )
    adversary_share: float = number(
        0.5,
        "share of the rows of `push` and of `keep` that get a found input",
        above=0,
        high=1,
        more=True,
        later=True,
    )
    from_: Begins = choice(
        "before",
        "begin at what the passes before left; or in their place at the base, with all that their adversaries found",
        among=get_args(Begins),
        later=True,
    )
    terms: tuple[Term, ...] = ()

    @property
    def anew(self) -> bool:
        return self.from_ == "base"

    @property
    def trained_against(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(attack for kind in self.adversary for attack in FAMILIES[kind]))

    @property
    def whole(self) -> bool:
        return self.train == "weights"

    def shares(self, met: Met) -> tuple[Share, ...]:
        """`batch` rows of erased prompts, `batch` of preserved, `batch // 4` of the empty one, each shared evenly by
        the terms that need them. Without preserved prompts `keep` has nothing to say.
        """
        terms = [term for term in self.terms if term.weight > 0 and (met.preserved or term.on != "preserved")]
        size = {"erased": self.batch, "preserved": self.batch, "empty": max(1, self.batch // 4)}
        result = []
        for on, whole in size.items():
            sharing = [term for term in terms if term.on == on]
            for i, term in enumerate(sharing):
                rows = max(1, whole // len(sharing) + (i < whole % len(sharing)))
                result.append(Share(term, rows, met.inside[term.label]))
        return tuple(result)

    @property
    def chosen(self) -> tuple[Auto, ...]:
        """The windows that are chosen from the model, each once."""
        windows = [self.gate, *(term.during for term in self.terms)]
        return tuple(dict.fromkeys(window for window in windows if isinstance(window, Auto)))

    def problem(self, met: Met) -> str | None:
        if self.chosen and self.trajectories < PICTURES:
            return f"`auto` looks at {PICTURES} pictures of a concept; let `trajectories` be {PICTURES} or more"
        if isinstance(self.gate, Auto) and len(met.anchored) > 1:
            return (
                f"`gate` is one for the whole edit, and `auto` would choose {len(met.anchored)}, one a concept; "
                "write a range, or erase one concept alone"
            )
        if self.chosen and any(len(concepts) > 1 for concepts in self.taught(met.anchored)):
            return "`auto` chooses a window for each concept, and a joint adapter has one; write a range"
        if not met.shares:
            return "no term has anything to train on; give one a weight, or `preserve` for `keep`"
        empty = next((share.term.label for share in met.shares if not share.steps), None)
        if empty is not None:
            return f"the window of {empty} holds none of the {self.sampler_steps} sampler steps"
        if self.adversary and not self._searched(met):
            return "an adversary has nothing to search on: give `push` a weight"
        if self.anew and not self._searched(met):
            return "what was found has no rows to stand in: give `push` a weight"
        if self.adversary and self.adversary_after >= self.steps:
            return (
                f"the adversary would begin after step {self.adversary_after} of {self.steps}; lower `adversary_after`"
            )
        if self.anew and not met.before.searched:
            return (
                "`from = base` takes the place of the passes before it, but for what their adversaries found, and "
                "there was none; give one of them an `adversary`, or leave `from` out"
            )
        if self.whole and self.gate is not None:
            return "`gate` scales adapters, and weights that are trained themselves have none; leave it out"
        if not self.whole and met.before.masked:
            return "the mask before it is of weights; write `train = weights`, or leave the mask out"
        if not self.whole and met.outside:
            return (
                f"no adapter goes to {met.outside[0]}, outside of attention and feed-forward; take it out of `on`, or "
                "write `train = weights`"
            )
        bare = next((tensor for tensor in met.tensors if tensor not in met.before.masked), None)
        if met.before.masked and bare is not None:
            return f"the mask before it leaves {bare} out; let both be `on` the same layers"
        before = self._begins_at(met)
        if before.gated or (self.gate is not None and before.trained):
            return "one gated pass per method, and no other `steer` beside it"
        return None

    def preserved_trajectories(self, met: Met) -> int:
        """Twice those of an erased concept, at least one a member; the same ones for every concept of the pass.

        0 where no term is evaluated on preserved prompts or the empty one.
        """
        if not met.preserved or all(share.term.on == "erased" for share in met.shares):
            return 0
        return max(2 * self.trajectories, met.preserved)

    def taught(self, concepts: Sequence[Row]) -> tuple[tuple[Row, ...], ...]:
        """What each adapter is trained to erase."""
        if self.adapters == "joint":
            return (tuple(concepts),) if concepts else ()
        return tuple((one,) for one in concepts)

    def together(self, concepts: int) -> int:
        """The training steps of an adapter of so many concepts: as many as theirs apart take, at the same cost."""
        return self.steps * concepts

    def held(self, met: Met) -> tuple[int, ...]:
        """The sampler steps at which a term asks what the model predicted before the pass."""
        return tuple(sorted({step for share in met.shares if share.term.before for step in share.steps}))

    def cost(self, met: Met) -> Cost:
        """Sampling predicts with and without the prompt at every sampler step, and for the anchor where there is one.

        A refresh samples anew from the student and asks the original model for the same predictions there. Where
        earlier passes changed the model, `hold` asks it for predictions too. Terms on attention ask the original model
        what it attends to. A search asks the student at each of its steps, and once more for what it found. Choosing
        windows asks the original model for the prompt, for none and for the anchor. Steps in a window that is not yet
        chosen count as the whole.
        """
        preserved = 2 * met.visited * self.preserved_trajectories(met)
        before, changed = len(self.held(met)) * self.trajectories, self._begins_at(met).changed
        asked = sum(share.term.asks * len(share.steps) for share in met.shares) * self.trajectories
        rows = sum(share.rows for share in met.shares)
        frozen = trained = 0
        for place, concepts in enumerate(self.taught(met.anchored)):
            steps = self.together(len(concepts))
            refreshes = (steps - 1) // self.refresh if self.refresh else 0
            erased = sum(met.visited * self.trajectories * (3 if anchored else 2) for anchored in concepts)
            held = before * len(concepts) if changed or (self.whole and place) else 0
            held += asked * len(concepts)
            frozen += erased + held + refreshes * (2 * (erased + preserved) + held)
            searches = len(range(self.adversary_after, steps, self.adversary_every)) if self.adversary else 0
            looked = searches * self._searched(met)
            frozen += looked
            trained += steps * rows + self.adversary_steps * looked
        if self.chosen:
            frozen += sum(LEVELS * PICTURES * NOISES * (3 if anchored else 2) for anchored in met.anchored)
        memory, disk = (BESIDE * met.numbers, STATE * met.numbers) if self.whole and met.anchored else (0, 0)
        return Cost(frozen + (preserved if met.anchored else 0), trained, memory, disk)

    def _searched(self, met: Met) -> int:
        """The rows of a search: as many as the first term that erases has in a batch."""
        return next((share.rows for share in met.shares if share.term.erases), 0)

    def leaves(self, met: Met) -> Left:
        before = replace(self._begins_at(met), changed=True, trained=True, gated=self.gate is not None)
        before = replace(before, searched=met.before.searched or bool(self.adversary))
        if self.whole:
            return replace(before, whole=True)
        adapters, mixed = before.adapters + len(self.taught(met.anchored)), {**before.mixed, **met.mixed}
        return replace(before, adapters=adapters, mixed=mixed)

    def _begins_at(self, met: Met) -> Left:
        """What there is when its training begins."""
        return Left(masked=met.before.masked) if self.anew else met.before
