"""Which attacks' figures say something of the edit by themselves, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tracelang.evidence.attacks.attack import CAUTION
from tracelang.evidence.report.wording import strongest
from tracelang.evidence.schema import AttackFinding, Probed, Report
from tracelang.plan.types import Member

BRINGS = "a model that has learned nothing shows it too, or may: the attack brings the concept along by itself"
POWERLESS = "before the edit, too, it finds little more than in models that never knew the concept"

Mute = Mapping[tuple[Member, str], str]
"""Of each concept and attack whose figure says little by itself, why."""


def mute(report: Report) -> Mute:
    """Why: a caution stands with the figure, or the controls show that it brings the concept along or has no power."""
    found = {(one.member, one.attack): str(one.budget[CAUTION]) for one in report.attacks if CAUTION in one.budget}
    for probed in report.controls.probes if report.controls else ():
        if why := _why(probed):
            found[probed.member, probed.how] = why
    return found


def readable(attacks: Iterable[AttackFinding], mute: Mute) -> list[AttackFinding]:
    """Those whose figure says something of the edit."""
    return [one for one in attacks if (one.member, one.attack) not in mute]


def strongest_read(attacks: Iterable[AttackFinding], mute: Mute) -> AttackFinding | None:
    """The strongest among them; None where there is none."""
    return strongest(readable(attacks, mute))


def _why(probed: Probed) -> str:
    return BRINGS if probed.valid is False else POWERLESS if probed.powered is False else ""
