from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number
from tracelang.semantics.kinds import Pass


@dataclass(frozen=True, slots=True)
class Fuse(Pass):
    """Making one edit of the adapters of several concepts; with fewer than two it does nothing.

    METHODS.md §1.4. What a layer reads is measured while sampling where it is mixed with image and time.
    """

    kind: str = "fuse"
    label: str = "fuse"
    ridge: float = number(0.01, "as `refine.ridge`, over all erased concepts", above=0)
    keep_weight: float = number(1.0, "weight of the preserved states", low=0, more=True)
    closed_form = True
