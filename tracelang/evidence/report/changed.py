"""What was drawn of weights that were changed after the edit, by what was done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracelang.evidence.bench import Judgements, Record, select
from tracelang.evidence.metrics.metric import Changed
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample
from tracelang.evidence.units.after import AfterAttackRecord, AfterRecord
from tracelang.evidence.units.attack import AttackSide
from tracelang.plan.types import After, Member


def changed(records: Mapping[str, Record], classes: Mapping[Member, Sequence[Sought]]) -> dict[After, Changed]:
    """Of each change the pictures, the units that drew them, and the adaptive side of attacks."""
    pictures: dict[After, dict[Sample, Judgements]] = {}
    units: dict[After, dict[Sample, str]] = {}
    attacks: dict[After, dict[tuple[Member, str, int, int], AttackSide]] = {}
    for key, record in select(records, AfterRecord).items():
        pictures.setdefault(record.after, {}).update({row.sample: row.after for row in record.rows})
        units.setdefault(record.after, {}).update({row.sample: key for row in record.rows})
    for key, one in select(records, AfterAttackRecord).items():
        found = one.attack.result(key, classes[one.attack.member])
        asked = (found.member, found.attack, found.samples, found.seed)
        attacks.setdefault(one.after, {})[asked] = found.adaptive
    return {
        after: Changed(pictures.get(after, {}), units.get(after, {}), attacks.get(after, {}))
        for after in (*pictures, *attacks)
    }
