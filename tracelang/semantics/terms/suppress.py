from __future__ import annotations

from typing import Literal, get_args

from tracelang.records import dataclass
from tracelang.semantics.fields import choice
from tracelang.semantics.kinds import Term

Spoken = Literal["phrase", "padded"]
Mask = Literal["own", "none"]
Reduce = Literal["mean", "norm"]
Blocks = Literal["all", "last"]


@dataclass(frozen=True, slots=True)
class Suppress(Term):
    """Suppressing the attention that a concept's tokens get where the unedited model draws it."""

    kind: str = "suppress"
    label: str = "suppress"
    tokens: Spoken = choice(
        "phrase",
        "whose: the phrase's own tokens', or also that of the end of the text and of all padding, which repeat it",
        among=get_args(Spoken),
        holds={"padded": ("phrase",)},
    )
    mask: Mask = choice(
        "own",
        "where: in the places from which the unedited model attends to the phrase, or in the whole picture",
        among=get_args(Mask),
        holds={"none": ("own",)},
    )
    reduce: Reduce = choice(
        "mean", "mean of squares over layers that count alike, or the sum of the layers' norms", among=get_args(Reduce)
    )
    blocks: Blocks = choice(
        "all", "layers in which a picture attends to its prompt", among=get_args(Blocks), holds={"all": ("last",)}
    )
    attends = True

    @property
    def asks(self) -> int:
        return 1 if self.mask == "own" else 0
