"""How far the edit reaches: what is left of what it erases, at what price that comes back, what leaks into the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from tracelang.engine.statements import constraints, states
from tracelang.evidence.certificate.matrices import Matrix, ratio
from tracelang.evidence.certificate.stacks import Stack, cheaper_states
from tracelang.evidence.schema import Reach
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Tokens


def erased(
    plan: Plan, erasure: Erasure, base: Model, read: Mapping[Site, Matrix], stacks: Mapping[str, Stack]
) -> Reach:
    """Residual in the worst layer; and the states that undo the edit best, over all layers at once.

    `undone` is the part of the edit's effect on `WF` that they take back: 0 for the concept's own states as they are.
    """
    problems = constraints(plan, [erasure], [], base, list(stacks), _tokens(plan))
    worst: float | None = None
    for site, matrix in read.items():
        assert site.reads is not None
        problem = problems[site.reads]
        asked = matrix.W @ (problem.F - problem.G)
        if float(asked.norm()) > 0:
            left = float((asked + matrix.Δ @ problem.F).norm()) / float(asked.norm())
            worst = left if worst is None else max(worst, left)
    longer = shorter = effect = left_over = rest = 0.0
    spectra = []
    for name, stack in stacks.items():
        F = problems[name].F
        moved = float((stack.Δ @ F).square().sum())
        E, missed = stack.closest(F) if moved else (F, 0.0)
        longer, shorter = longer + float(E.square().sum()), shorter + float(F.square().sum())
        effect, left_over = effect + moved, left_over + missed
        # States of an input that the edit leaves alone stay as they are, at their own length.
        if moved:
            spectra.append(stack.spectrum(F))
        else:
            rest += float(F.square().sum())
    undone = min(1.0, max(0.0, 1 - left_over / effect)) if effect else 1.0
    cheaper = tuple(
        (share, math.sqrt(price**2 + rest / shorter))
        for share, price in cheaper_states(spectra, left_over, effect, shorter)
    )
    return Reach(
        member=erasure.targets, residual=worst, price=math.sqrt(longer / shorter), undone=undone, cheaper=cheaper
    )


def preserved(plan: Plan, member: Member, base: Model, read: Mapping[Site, Matrix]) -> Reach:
    """The change of the keys and values of every state after the start token, in the worst layer."""
    prompts = edit_prompts(plan, member)
    e = states(base, prompts)
    starts = [base.layout(prompt).start for prompt in prompts]
    P = {
        name: torch.cat([one[start:] if len(one) > 1 else one for one, start in zip(rows, starts, strict=True)]).T
        for name, rows in e.items()
    }
    return Reach(
        member=member,
        leak=max(
            (ratio(matrix.Δ @ P[site.reads], matrix.W @ P[site.reads]) for site, matrix in read.items() if site.reads),
            default=0.0,
        ),
    )


def _tokens(plan: Plan) -> Tokens:
    """How tokens pair up: as in the plan's own closed form, or `tail` where it has none."""
    of_plan: list[Tokens] = [step.tokens for step in plan.method.passes if hasattr(step, "tokens")]
    return of_plan[0] if of_plan else "tail"
