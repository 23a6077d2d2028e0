"""What an edit's closed forms will do to the text states of a plan's concepts, before an image is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from tracelang.engine.edit import Edit
from tracelang.engine.exact import exact
from tracelang.engine.run import on_text, run
from tracelang.engine.statements import constraints
from tracelang.engine.text_map import collateral, residual
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass, BoundPlan
from tracelang.plan.family import Site
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Tokens
from tracelang.text import joined


def closed_forms(bound: BoundPlan) -> tuple[BoundPass, ...]:
    """The passes that change layers by text states alone, and are not thrown away by a later one."""
    return tuple(part for part in bound.lasting if part.sites and on_text(part))


@dataclass(frozen=True, slots=True)
class Predicted:
    """From `T` alone, the worst text input's: the largest relative change of the text states that the layers read, by
    role and concept; and of each erased concept `‖TF − G‖ / ‖F − G‖`, 0 where all is done that was asked, 1 nothing.
    Of a matrix with a left map it is what the matrix makes of the states that is compared. `free`: of each pass that
    moves free directions alone, how many there are, and the sine of each concept's angle to the others. `turned`: of
    each pass of left maps, the least and the most that its matrices' figures are.
    """

    collateral: dict[str, dict[str, float]]
    residual: dict[str, float]
    free: list[dict[str, Any]]
    turned: list[dict[str, Any]]


def predicted(bound: BoundPlan, text: TextSide, weights: Callable[[Site], Tensor] | None = None) -> Predicted:
    """`weights` gives the unedited matrices, for passes that ask for them. Raises `EngineError`."""
    passes = closed_forms(bound)
    edit = run(replace(bound, passes=passes), text, weights=weights)
    layers = {site: exact(weights(site)) for site in edit.turns} if weights is not None else {}
    chosen: list[Tokens] = [part.settings.tokens for part in passes if hasattr(part.settings, "tokens")]
    tokens = chosen[0] if chosen else "tail"

    def change(member: Member) -> float:
        prompts = edit_prompts(bound.plan, member)
        states, start = text.encode([prompt.text for prompt in prompts]), text.layout(prompts[0]).start
        worst = float(collateral(edit.text_maps, states, start).max())
        for site, W in layers.items():
            e = exact(states.inputs[site.reads or ""])
            e = e[:, start:] if e.shape[1] > 1 else e
            before, after = (e @ M[:, site.part].T for M in (W, edit.patched(site, W)))
            worst = max(worst, float(((after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)).max()))
        return worst

    def left(erasure: Erasure) -> float:
        asked = constraints(bound.plan, [erasure], [], text, list(edit.text_maps), tokens)
        return max((residual(asked[name], T) for name, T in edit.text_maps.items()), default=1.0)

    members = roles(bound.plan)
    return Predicted(
        {role: {joined(member): change(member) for member in members[role]} for role in members},
        {joined(erasure.targets): left(erasure) for erasure in bound.plan.active if edit.maps},
        _free(edit),
        _turned(edit),
    )


def _free(edit: Edit) -> list[dict[str, Any]]:
    return [
        {"pass": label, "reads": name, **{key: one[key] for key in ("dimension", "free", "angle")}}
        for label, name, one in _measured(edit)
        if "free" in one
    ]


def _turned(edit: Edit) -> list[dict[str, Any]]:
    """The least and the most of every figure, over the matrices."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for label, _, one in _measured(edit):
        if "cosine" in one:
            found.setdefault(label, []).append(one)
    return [
        {
            "pass": label,
            "matrices": len(all_),
            **{key: [f(one[key] for one in all_) for f in (min, max)] for key in all_[0]},
        }
        for label, all_ in found.items()
    ]


def _measured(edit: Edit) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What each pass measured of each text input, or of each matrix."""
    for label, parts in edit.figures.items():
        if isinstance(parts, Mapping):
            for name, one in parts.items():
                yield label, name, one


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
