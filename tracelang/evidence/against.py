"""Two verifications side by side: which of their figures can be told from each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.metrics import distinguishable
from tracelang.evidence.report import Comparison, Difference, Member, Rate, Report
from tracelang.evidence.work import Run

Figure = tuple[Member, str]


def earlier(out: Path, run: Run) -> Report:
    """The report that stands in another OUT, to be set beside `run`'s.

    Raises EvidenceError where there is none, or where other judges or another sampler made its figures.
    """
    file = out / "report" / "report.json"
    try:
        report = Report.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise EvidenceError(f"{out}: has no report; run: tracec verify {out}") from error
    except ValidationError as error:
        raise EvidenceError(f"{file}: cannot be read as a report; verify {out} again") from error
    if {one.digest for one in report.judges} != {one.digest for one in run.cards}:
        raise EvidenceError(f"{file}: other judges made its figures; verify {out} again with the same --judge")
    here, there = run.facts["sampler"], report.provenance.sampler
    if there != here:
        other = ", ".join(
            f"{key} {there.get(key, 'none')} where here it is {here.get(key, 'none')}"
            for key in {**here, **there} if there.get(key) != here.get(key)
        )
        raise EvidenceError(f"{file}: another sampler made its pictures ({other}); verify {out} again with this one's")
    return report


def compare(here: Report, there: Report) -> Comparison:
    """Every rate that both have, in this report's order."""
    others = dict(_rates(there))
    return Comparison(
        title=there.title,
        plan=there.provenance.plan,
        edited_fingerprint=there.provenance.edited_fingerprint,
        differences=tuple(
            Difference(member=member, what=what, here=rate, there=other, apart=distinguishable(rate, other))
            for (member, what), rate in _rates(here)
            if (other := others.get((member, what)))
        ),
    )


def _rates(report: Report) -> Iterator[tuple[Figure, Rate]]:
    for one in report.concepts:
        for what, rate in ((f"{one.role}, by name", one.after), (f"{one.role}, suggested", one.probes)):
            if rate and rate.n:
                yield (one.member, what), rate
    for found in report.attacks:
        if found.adaptive and found.adaptive.n:
            yield (found.member, f"under {found.attack}"), found.adaptive
