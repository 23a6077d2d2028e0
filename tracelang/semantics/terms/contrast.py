from __future__ import annotations

from typing import Literal, get_args

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, integer, number
from tracelang.semantics.kinds import Met, Term

Blocks = Literal["all", "last"]
Heads = Literal["mean", "first"]

LEAST = 3
"""Of preserved members, without which there is nothing that a concept could look like instead."""


@dataclass(frozen=True, slots=True)
class Contrast(Term):
    """Contrasting a concept's attention with that of a synonym and of unrelated concepts."""

    kind: str = "contrast"
    label: str = "contrast"
    unrelated: int = integer(LEAST, "preserved members that each trajectory is compared with", low=LEAST, high=64)
    temperature: float = number(
        0.07, "how sharply likenesses are told apart: they are divided by it", above=0, high=100
    )
    blocks: Blocks = choice("all", "layers in which a picture attends to its prompt", among=get_args(Blocks))
    heads: Heads = choice("mean", "of a layer's heads the mean, or the first alone", among=get_args(Heads))
    attends = True

    @property
    def asks(self) -> int:
        return 1 + self.unrelated

    def problem(self, met: Met) -> str | None:
        if min(met.named, default=2) < 2:
            return 'it needs a synonym of every erased concept; give each a second name: `names "cat", "kitty"`'
        if met.preserved < self.unrelated:
            return (
                f"it compares with {self.unrelated} preserved members, and there are {met.preserved}; `preserve` more"
            )
        return None
