"""What a run does not look at, known before it begins: prompts that are cut off, more sampler steps."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.evidence.pictures import Sample, drawable, roles, rows_of, samples_of
from tracelang.models.protocol import TextSide
from tracelang.plan.prompts import Prompt, edit_prompts, probe_prompts
from tracelang.plan.types import Assertion, Plan

STEPS = 50
"""Sampler steps with which most papers draw."""


def notes(plan: Plan, text: TextSide, steps: int) -> Iterator[str]:
    """A line each."""
    members = [member for member in roles(plan) if drawable(plan, member)]
    prompts = [prompt for member in members for make in (edit_prompts, probe_prompts) for prompt in make(plan, member)]
    prompts += [Prompt(sample.prompt, "") for one in plan.expect if one.suite for sample in _suited(plan, one)]
    cut = {one.prompt.text: one for one in text.lost(prompts) if one.tokens > one.length}
    if cut:
        first = next(iter(cut.values()))
        yield (
            f"the end of {len(cut)} of {len({prompt.text for prompt in prompts})} prompts: the text encoder takes "
            f"{first.length} tokens, they have more, and what is cut off was not drawn"
        )
    if steps < STEPS:
        yield f"pictures of more than {steps} sampler steps; most papers draw with {STEPS} (--steps {STEPS})"


def _suited(plan: Plan, one: Assertion) -> Iterator[Sample]:
    """The pictures of a suite's prompts that an expectation asks for."""
    for row in rows_of(plan, one):
        yield from samples_of(plan, row)
