from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import choice, number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.values import TOKENS, Layers, Tokens


@dataclass(frozen=True, slots=True)
class Project(Pass):
    """Projecting an edit onto the null space of what is preserved.

    docs/methods.md §4.3: a closed form where the preserved Gram's eigenvalues are below `threshold`.
    """

    kind: str = "project"
    label: str = "project"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    tokens: Tokens = choice("tail", "as `refine.tokens`", among=TOKENS, holds=TOKENS)
    threshold: float = number(0.1, "eigenvalues of the preserved Gram matrix below it are free to change", above=0)
    ridge_absolute: float = number(1.0, "pull toward the unedited weights", above=0)
    closed_form = True
    maps_states = True
