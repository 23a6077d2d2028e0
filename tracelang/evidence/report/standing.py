"""The report that stands in an OUT, and the work that it is of."""

from __future__ import annotations

from pathlib import Path

from tracelang.evidence.artifact import Artifact, EvidenceError
from tracelang.evidence.known import reported
from tracelang.evidence.report.compose import composed
from tracelang.evidence.schema import Report
from tracelang.evidence.work import Work, opened


def standing(artifact: Artifact) -> tuple[Report, Work]:
    """The report, and the work of the run that it names. Raises EvidenceError, WorkError."""
    file = artifact.report / "report.json"
    try:
        report = Report.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise EvidenceError(f"{artifact.out}: has no report; run: tracec verify {artifact.out}") from error
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{file}: cannot be read as a report; run: tracec merge {artifact.out}") from error
    run = report.registered.run if report.registered else ""
    if not run or Path(run).name != run:
        raise EvidenceError(f"{file}: does not say of which run it is; run: tracec merge {artifact.out}")
    return report, opened(artifact.report / "work" / run)


def canonical(artifact: Artifact, report: Report, work: Work) -> None:
    """The records give this very report, byte for byte; what it says beside another OUT aside, which is elsewhere, and
    how often it says that its judges are right, which `--judge-known` told it.

    Raises EvidenceError, WorkError.
    """
    known = reported(report.judges, work.run.cards)
    again = composed(artifact, work, known)[0].model_copy(update={"comparison": report.comparison})
    file = artifact.report / "report.json"
    if (again.model_dump_json(indent=2) + "\n").encode() != file.read_bytes():
        raise EvidenceError(
            f"{file}: is not what its records give; run: tracec merge {artifact.out}, with the version that wrote them"
        )
