"""What rounding leaves of an edit, from the weights alone: no picture is drawn (docs/methods.md §5.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tracelang.engine.exact import exact
from tracelang.engine.statements import states
from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, attempt
from tracelang.evidence.matrices import ratio
from tracelang.evidence.rounding import ROUNDED, linear, survival
from tracelang.evidence.schema import Rounding
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Member, Plan


class RoundingRecord(Record):
    rows: tuple[Rounding, ...] = ()


@dataclass(frozen=True)
class RoundingUnit(Unit):
    kind = "rounding"
    title = "rounding"
    record = RoundingRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[RoundingUnit]:
        yield cls("rounding")

    def done(self, bench: Bench, folder: Path) -> RoundingRecord:
        found = attempt(lambda: rounded_rows(bench.plan, bench.base, bench.edited))
        return RoundingRecord(error=found.why) if isinstance(found, Failed) else RoundingRecord(rows=found)


def rounded_rows(plan: Plan, base: Model, edited: Model) -> tuple[Rounding, ...]:
    """A row for each format. Its leak is how far the keys and values of preserved states move from the rounded base to
    the rounded edit, `‖(Q(W') − Q(W)) P‖ / ‖W P‖`, in the worst layer and of the worst concept.
    """
    kept = preserved_states(plan, base)
    found = []
    for to in ROUNDED:
        left = survival(base, edited, to)
        leaks = [(_leak(base, edited, to, P), member) for member, P in kept.items()]
        worst, member = max(leaks, default=(None, ()))
        found.append(
            Rounding(
                to=to,
                survival=None if left is None else left.share,
                cosine=None if left is None else left.cosine,
                leak=worst,
                worst=member,
            )
        )
    return tuple(found)


def preserved_states(plan: Plan, base: Model) -> dict[Member, dict[str, Tensor]]:
    """Of each preserved member the states `[d, n]` that layers read, by text input, after the start token."""
    found = {}
    for one in plan.preserve:
        prompts = edit_prompts(plan, one.concepts)
        starts = [base.layout(prompt).start for prompt in prompts]
        found[one.concepts] = {
            name: torch.cat([e[start:] if len(e) > 1 else e for e, start in zip(rows, starts, strict=True)]).T
            for name, rows in states(base, prompts).items()
        }
    return found


def _leak(base: Model, edited: Model, to: str, P: Mapping[str, Tensor]) -> float:
    matrices = linear(base)
    worst = 0.0
    for site in base.sites:
        if site.reads is None or site.tensor not in matrices:
            continue
        W, W2 = base.weight(site).detach().float(), edited.weight(site).detach().float()
        δQ = exact(ROUNDED[to](W2) - ROUNDED[to](W))[:, site.part]
        worst = max(worst, ratio(δQ @ P[site.reads], exact(W)[:, site.part] @ P[site.reads]))
    return worst
