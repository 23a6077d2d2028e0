"""Shares of the pictures of a concept's prompts: what a judge finds in them, before and after."""

from __future__ import annotations

from tracelang.evidence.metrics.metric import Counted, Measured, Pair, Share, failed
from tracelang.evidence.pictures import Row, suite_row
from tracelang.plan.types import Assertion, Member
from tracelang.semantics.tables import METRICS


def shown(one: Assertion, measured: Measured, member: Member) -> Counted:
    """The pictures that show it."""
    pairs = looked_at(one, measured, member)
    return pairs if isinstance(pairs, Counted) else _of([(pair.base.shows, pair.after.shows) for pair in pairs])


def kept(one: Assertion, measured: Measured, member: Member) -> Counted:
    """Of those that showed it before, those that still do."""
    pairs = looked_at(one, measured, member)
    if isinstance(pairs, Counted):
        return pairs
    changes = tuple((pair.base.shows, pair.after.shows) for pair in pairs)
    return Counted(
        tuple(now for before, now in changes if before), tuple(before for before, _ in changes), changes=changes
    )


def subject(one: Assertion, measured: Measured, member: Member) -> Counted:
    """The pictures that show some recognisable thing."""
    pairs = looked_at(one, measured, member)
    if isinstance(pairs, Counted):
        return pairs
    subjects = [(pair.base.subject, pair.after.subject) for pair in pairs]
    if any(before is None or now is None for before, now in subjects):
        return Counted(reason="no judge can tell whether a picture shows anything at all")
    return _of([(bool(before), bool(now)) for before, now in subjects])


def looked_at(one: Assertion, measured: Measured, member: Member) -> list[Pair] | Counted:
    """The pictures of the metric's row, or why none counts."""
    (how,) = (how for how in METRICS[one.metric].rows if how != "kept")
    row = Row(member, how, one.samples, one.seed) if one.suite is None else suite_row(one, member)
    pairs = measured.pairs(row)
    if not pairs and one.suite is not None:
        return Counted(reason="every prompt of the suite speaks of something protected: none is drawn")
    if not pairs:
        return Counted(reason="it has no probes" if how == "probes" else "it has no prompts")
    why = failed([pair.error for pair in pairs])
    return Counted(reason=why) if why else pairs


def _of(changes: list[tuple[bool, bool]]) -> Counted:
    return Counted(tuple(now for _, now in changes), tuple(before for before, _ in changes), changes=tuple(changes))


MEASURES = {
    "shown": Share(shown, looked="all"),
    "probed": Share(shown, looked="all"),
    "accuracy": Share(shown, looked="all"),
    "kept": Share(kept, nothing="the base model got none of its pictures right", looked="shown before"),
    "subject": Share(subject),
}
