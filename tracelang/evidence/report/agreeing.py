"""Where several judges know the same concept: how often they say the same of it."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from tracelang.evidence.agreement import cohen
from tracelang.evidence.bench import presence
from tracelang.evidence.pictures import samples_of
from tracelang.evidence.report.figures import Evidence
from tracelang.evidence.schema import Agreement


def agreements(evidence: Evidence) -> Iterator[Agreement]:
    """Of every member that two judges know, over its pictures on which neither failed, before the edit and after."""
    for member, others in evidence.run.also.items():
        (own,) = evidence.run.classes[member]
        samples = [
            sample for row in evidence.every if row.member == member for sample in samples_of(evidence.plan, row)
        ]
        drawn = [
            one for sample in dict.fromkeys(samples) if (one := evidence.measured.pictures.get(sample)) is not None
        ]
        for other in others:
            pairs = [
                (presence(judged, [own]), presence(judged, [other]))
                for one in drawn
                for judged in (one.base, one.after)
            ]
            sound = [(a.shows, b.shows) for a, b in pairs if not (a.error or b.error)]
            if not sound:
                continue
            kappa = cohen([a for a, _ in sound], [b for _, b in sound])
            yield Agreement(
                member=member,
                judges=(own.judge, other.judge),
                n=len(sound),
                both=sound.count((True, True)),
                first=sound.count((True, False)),
                second=sound.count((False, True)),
                neither=sound.count((False, False)),
                kappa=kappa if isfinite(kappa) else None,
            )
