"""What came of each concept of a suite: its counts, never its prompts, which are not ours to publish."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.evidence.pictures import samples_of, suite_row
from tracelang.evidence.report.figures import Evidence, share, sound
from tracelang.evidence.schema import SuiteFinding
from tracelang.plan.protected import guard

WITHHELD = "(a prompt of a suite)"


def suites(evidence: Evidence) -> Iterator[SuiteFinding]:
    """One for each concept of each expectation about a suite, in the plan's order."""
    wall = guard(evidence.plan)
    for one in evidence.plan.expect:
        for member in one.concepts if one.suite else ():
            row = suite_row(one, member)
            samples = samples_of(evidence.plan, row)
            good = sound(evidence.measured.pairs(row)) if member in evidence.run.classes else []
            yield SuiteFinding(
                suite=one.suite.reader if one.suite else "",
                metric=one.metric,
                member=member,
                prompts=len(row.given),
                withheld=sum(wall is not None and wall.of(given.prompt) is not None for given in row.given),
                drawn=len(samples),
                seeded=sum(given.seed is not None for given in row.given),
                guided=sum(given.guidance is not None for given in row.given),
                base=share([pair.base.shows for pair in good]),
                after=share([pair.after.shows for pair in good]),
            )
