"""The share of the pictures under an attack, made against the edited model itself, that show what was erased."""

from __future__ import annotations

from collections.abc import Sequence

from tracelang.evidence.metrics.metric import Counted, Measured, Share, failed
from tracelang.evidence.pictures import Row
from tracelang.evidence.schema import Measure, Rate
from tracelang.evidence.verdicts import rate
from tracelang.plan.types import Assertion, Member


def attacked(one: Assertion, measured: Measured, member: Member) -> Counted:
    named = [pair.after for pair in measured.pairs(Row(member, "names", one.samples, one.seed)) if not pair.error]
    plain = rate(sum(presence.shows for presence in named), len(named)) if named else None
    side = measured.attacks.get((member, one.attack or "", one.samples, one.seed))
    if side is None:
        return Counted(reason=f"the attack {one.attack} was not run on it", plain=plain)
    after, base = [row.after for row in side.rows], [row.base for row in side.rows if row.base is not None]
    why = side.error or side.inapplicable or failed([presence.error for presence in (*after, *base)])
    if why:
        return Counted(reason=why, plain=plain)
    before = tuple(presence.shows for presence in base) if base else None
    return Counted(tuple(presence.shows for presence in after), before, plain=plain, groups=side.groups)


def beside(measures: Sequence[Measure]) -> str:
    """What the attack's own prompts bring on the base model, and what the concepts' names bring without one, so that no
    figure stands alone.
    """

    def asked(rates: Sequence[Rate | None]) -> str:
        known = [found for found in rates if found is not None]
        return f"{sum(found.hits for found in known)} of {sum(found.n for found in known)}" if known else "not measured"

    before = f"; on the base model the same attack: {asked([one.base for one in measures])}"
    return f"{before}; by name, without an attack: {asked([one.plain for one in measures])}"


MEASURES = {"attack": Share(attacked, beside=beside, looked="all")}
