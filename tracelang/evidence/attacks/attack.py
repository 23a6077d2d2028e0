"""What an attack is given, what it may spend, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from tracelang.engine.seeds import seed
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.protected import guard, refuse
from tracelang.plan.types import Member, Plan
from tracelang.semantics.tables import Access
from tracelang.text import joined

SKIPPED = "skipped_as_protected"
"""What an attack spends in vain, in its `budget`: prompts it found that speak of a protected concept, and left."""
CAUTION = "caution"
"""What keeps an attack's figure from being read by itself, in its `budget`; it stands with the figure, wherever."""
EXAMPLES = 3
"""How many of the prompts it found an attack shows."""


class AttackError(Exception):
    """An attack that could not be carried out. `str()` is one line: which attack, and why."""


class Inapplicable(AttackError):
    """An attack that there is nothing for in this model or recipe: it did not fail, it was not run."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an attacker may spend on one concept. The field's settings, scaled down where two cores ask for it.

    `rows`: distinct prompts, optimised side by side; each is drawn with several seeds. `tokens`: free tokens a prompt
    (5 in UnlearnDiffAtk and its P4D). `iterations`: gradient steps of P4D, UnlearnDiffAtk (40 there) and textual
    inversion. `views`: noised latents that a prompt is optimised on. `population` and `generations`: Ring-A-Bell's
    genetic search (200 and 3000 there). `eta`: its η (3 for nudity, 0.9 for a style there). `rate`: the learning rate
    of gradient attacks, None for each one's own. `left`: the share of an edit's effect on the matrices' reading that
    the inverse map may leave standing for the sake of shorter states. `tuning`: training
    steps of a fine-tuning.

    Of attacks on the side of the picture: `given`: the share of sampling that the base does before `complete` goes on;
    half of the rows get half of it. `mask`: the share of the picture that `inpaint` draws anew. `tries`: samples of
    which `noise` and `classifier` keep one a row, and `scale` the strongest guidance among the latter's. `latents`:
    pictures of either side that the classifier of latents learns from. `fixes`: gradient steps of `inversion` at each
    time (25 there), and `floor` the weight of its energy floor (1 there; without one it finds pictures in a model that
    has learned nothing). `length`: MMA's tokens (20 there), where a prompt holds so many, and `candidates` the prompts
    that it tries an iteration (512 there).
    """

    rows: int = 40
    tokens: int = 5
    iterations: int = 40
    views: int = 2
    population: int = 40
    generations: int = 40
    eta: float = 0.9
    rate: float | None = None
    left: float = 0.2
    given: float = 0.2
    mask: float = 0.5
    tries: int = 4
    scale: float = 8.0
    latents: int = 32
    fixes: int = 10
    floor: float = 1.0
    length: int = 12
    candidates: int = 32
    tuning: int = 100

    def __post_init__(self) -> None:
        if not (0 < self.given < 1 and 0 < self.mask < 1):
            raise AttackError("a budget's `given` and `mask` are shares between 0 and 1")
        if min(self.tries, self.fixes, self.length, self.candidates) < 1 or self.latents < 4:
            raise AttackError("a budget needs a try, a fix, a length, a candidate, and 4 latents of either side")
        if min(self.scale, self.floor) < 0:
            raise AttackError("a budget's `scale` and `floor` are 0 at least")
        if not 0 <= self.left <= 1:
            raise AttackError("a budget's `left` is a share")
        if min(self.rows, self.tokens, self.iterations, self.views, self.generations) < 1 or self.population < 4:
            raise AttackError("a budget needs a row, a token, an iteration, a view, a generation, and 4 to breed from")
        if self.tuning < 1:
            raise AttackError("a budget's `tuning` is a number of training steps, at least 1")


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked: an erased `member` of `plan`, by `count` rows whose noise derives from `seed`.

    `clean` are latents `[m, …]` that the base model drew of it, `prompts` its names' prompts, `base` the model before
    the edit, `steps` the sampler's; `made` is what attacks have made of these alone, to be made once. Concepts of kind
    `protected` are never attacked: there is no target of one.
    """

    plan: Plan
    member: Member
    seed: int
    clean: Tensor
    prompts: tuple[str, ...]
    base: Model
    count: int
    steps: int = 20
    made: dict[tuple[str, int], object] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        protected = [name for name in self.member if self.plan.concept(name).kind == "protected"]
        if protected:
            raise AttackError(f"{protected[0]} is of kind protected: it is verified from weights, never attacked")
        refuse(self.plan, self.prompts, AttackError)
        if not self.prompts or not len(self.clean) or self.count < 1:
            raise AttackError(f"{self.name}: an attack needs prompts, latents of the concept, and rows to fill")

    @property
    def name(self) -> str:
        return joined(self.member)

    @property
    def guarded(self) -> bool:
        """Does the plan protect anything?"""
        return guard(self.plan) is not None

    def drawable(self, prompts: Sequence[str]) -> list[bool]:
        """Which prompts may be drawn: none that speaks of a protected concept of the plan, however it was found."""
        wall = guard(self.plan)
        return [wall is None or wall.of(prompt) is None for prompt in prompts]

    def dealt(self, n: int, each: int = 1) -> list[str]:
        """`n` of the prompts, in turn, `each` so many times running: once for each form of wording, where rows take
        their forms in turn as well.
        """
        return [self.prompts[i // each % len(self.prompts)] for i in range(n)]

    def seeds(self, attack: str) -> list[int]:
        """Of the noise that the rows of an attack are drawn from."""
        return seeds(attack, self.member, self.seed, self.count)


def seeds(attack: str, member: Member, base: int, n: int) -> list[int]:
    """Of the noise of an attack's `n` rows; `base` is the seed that the recipe or the command gives."""
    return [seed("attacked", f"{attack} {joined(member)}", i, base) for i in range(n)]


@dataclass(frozen=True, slots=True)
class Found:
    """`count` rows that should bring the concept back: `prompts` that anyone can type, or soft `states`; or what an
    attack that samples by itself arrived at with the model it was run against, clean `latents [count, …]`. There is
    nothing to replay of those on another model; `prompts` are then what each was drawn with.

    `budget` is what was spent. `price`: how much longer the states are than the concept's own. `examples`: what was
    found, as text. `forms`: the kind of wording of each row, for a rate by kind, where there are kinds.
    """

    prompts: tuple[str, ...] | None
    states: TextStates | None
    budget: dict[str, int | float | str]
    price: float | None
    examples: tuple[str, ...]
    forms: tuple[str, ...] = ()
    latents: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Attack:
    """`run(target, model, budget)`: `model` is the edited one for the adaptive figure, the base for the static one.

    The same target, model and budget give the same rows bit for bit. Raises `AttackError`, `Inapplicable`.
    """

    access: Access
    run: Callable[[Target, Model, Budget], Found]
