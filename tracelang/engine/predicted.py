"""What an edit's closed forms will do to the text states of a plan's concepts, before an image is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tracelang.engine.run import on_text, run
from tracelang.engine.statements import constraints
from tracelang.engine.text_map import collateral, residual
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass, BoundPlan
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Tokens
from tracelang.text import joined


def closed_forms(bound: BoundPlan) -> tuple[BoundPass, ...]:
    """The passes that change layers by text states alone."""
    return tuple(part for part in bound.passes if part.sites and on_text(part))


@dataclass(frozen=True, slots=True)
class Predicted:
    """From `T` alone, the worst text input's: the largest relative change of the text states that the layers read, by
    role and concept; and of each erased concept `‖TF − G‖ / ‖F − G‖`, 0 where all is done that was asked, 1 nothing.
    """

    collateral: dict[str, dict[str, float]]
    residual: dict[str, float]


def predicted(bound: BoundPlan, text: TextSide) -> Predicted:
    passes = closed_forms(bound)
    edit = run(replace(bound, passes=passes), text)
    chosen: list[Tokens] = [part.settings.tokens for part in passes if hasattr(part.settings, "tokens")]
    tokens = chosen[0] if chosen else "tail"

    def change(member: Member) -> float:
        prompts = edit_prompts(bound.plan, member)
        states, start = text.encode([prompt.text for prompt in prompts]), text.layout(prompts[0]).start
        return float(collateral(edit.text_maps, states, start).max())

    def left(erasure: Erasure) -> float:
        asked = constraints(bound.plan, [erasure], [], text, list(edit.text_maps), tokens)
        return max((residual(asked[name], T) for name, T in edit.text_maps.items()), default=1.0)

    members = roles(bound.plan)
    return Predicted(
        {role: {joined(member): change(member) for member in members[role]} for role in members},
        {joined(erasure.targets): left(erasure) for erasure in bound.plan.active},
    )


def roles(plan: Plan) -> dict[str, list[Member]]:
    """The plan's concepts by their part in it; a neighbour is what it names besides, a half of `A & B` for one."""
    roles: dict[str, list[Member]] = {
        "erased": [erasure.targets for erasure in plan.active],
        "anchors": [erasure.anchor for erasure in plan.active if erasure.anchor is not None],
        "preserved": [entry.concepts for entry in plan.preserve],
    }
    named = {member for members in roles.values() for member in members}
    roles["neighbours"] = [(concept.name,) for concept in plan.concepts if (concept.name,) not in named]
    return {role: list(dict.fromkeys(members)) for role, members in roles.items()}
