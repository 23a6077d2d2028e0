"""`preserve prior`: what closed forms hold besides all that a recipe names: the words of a model's own vocabulary, or
given prompts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tracelang.records import dataclass
from tracelang.semantics.fields import integer, number
from tracelang.semantics.tables import MAX_SEED

PRIOR = "prior"
"""The vocabulary's name, unless a recipe calls a concept or a group so."""

WORDS = 800
"""So many prompts, preserved one by one, weigh what a prior of the same weight does, however many it holds."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What a `preserve prior` holds. `prompts` are given ones, sorted and already a sample; of a vocabulary the model's
    tokenizers say them where the plan meets it.
    """

    kind: Literal["vocabulary", "given"] = "vocabulary"
    prompts: tuple[str, ...] = ()
    weight: float = number(
        0.1,
        f"weight: as if {WORDS} prompts, however many there are, were preserved at it",
        above=0,
        more=True,
    )
    cosine: float = number(
        0.8,
        "as a cosine: prompts whose states are more alike to an erased name's than this are left out",
        above=0,
        high=1,
        more=True,
    )
    sample: int = integer(2000, "how many prompts at most; more are drawn from", low=1, high=100_000, more=True)
    seed: int = integer(0, "which of them are drawn", low=0, high=MAX_SEED)


def sampled(texts: Iterable[str], count: int, seed: int) -> tuple[str, ...]:
    """At most `count` of the texts, each once, sorted; their order decides nothing, and another text displaces few."""
    found = sorted(set(texts))
    if len(found) <= count:
        return tuple(found)
    from hashlib import sha256

    return tuple(sorted(sorted(found, key=lambda text: sha256(f"{seed} {text}".encode()).digest())[:count]))
