"""What a search finds: an input that still brings a concept back."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from tracelang.models.protocol import TextStates
from tracelang.semantics.passes.steer import Search


@dataclass(frozen=True, slots=True)
class Found:
    """Free states or embeddings `[k, d]`, float32, for the `of`-th concept of a task. `encoded` holds what prompts
    become with it, as far as they were asked for: the text encoder stands still.
    """

    kind: Search
    value: Tensor
    of: int = 0
    encoded: dict[str, TextStates] = field(default_factory=dict, compare=False)
