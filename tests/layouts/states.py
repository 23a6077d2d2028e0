"""Text states that no encoder gave, kept as the product keeps real ones: where no real weights are at hand there are no
real states, and an edit of true size can still be computed from some.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields

import torch

from tracelang.engine.statements import constraints
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import TextStates
from tracelang.plan.types import Plan
from tracelang.semantics.passes.refine import Refine


class Invented(PromptSide):
    """A model's prompt side without its encoders: states are normal numbers, of each prompt its own."""

    def _encode(self, prompts: Sequence[str]) -> TextStates:
        widths = {site.reads: site.part.stop - site.part.start for site in self.sites if site.reads}
        rows = []
        for prompt in prompts:
            drawn = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4]))
            rows.append(
                TextStates(
                    {
                        name: torch.randn((1, self.paths[0].length if name == "tokens" else 1, width), generator=drawn)
                        for name, width in sorted(widths.items())
                    }
                )
            )
        return TextStates.cat(rows)


def fill(real: PromptSide, plan: Plan) -> None:
    """States of every prompt that the plan's closed form asks for, in the cache that `real` was given."""
    text = Invented(**{field.name: getattr(real, field.name) for field in fields(real)})
    inputs = sorted({site.reads for site in real.sites if site.reads})
    for step in plan.method.passes:
        assert isinstance(step, Refine)
        constraints(plan, plan.active, plan.preserve, text, inputs, step.tokens, step.erase_weight)
