"""`attest`: both statements of a verified OUT, signed and put beside its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracelang.checkpoint.earlier import SIGNED
from tracelang.evidence.artifact import Artifact, read
from tracelang.evidence.attestation import covered, statement
from tracelang.evidence.attestation.errors import AttestationError
from tracelang.evidence.report.compose import composed
from tracelang.evidence.schema import Report
from tracelang.evidence.work import Work, opened
from tracelang.files import whole
from tracelang.progress import Progress

WITH_KEY, KEYLESS = SIGNED[:2], SIGNED[2:]
"""Where the two statements stand: the test result, and the provenance."""
Sign = Callable[[list[bytes]], list[bytes]]
"""From statements to what is written."""


@dataclass(frozen=True, slots=True)
class Attested:
    """What was signed: the result, and how many files and bytes of each kind."""

    result: str
    kinds: tuple[tuple[str, int, int], ...]


def attest(out: Path, sign: Sign, places: tuple[str, ...], progress: Progress | None = None) -> Attested:
    """Sign the statements about OUT as it stands, and write them to `places` in it.

    Raises AttestationError where the report is not what its records give; EvidenceError, WorkError, CompileError where
    OUT is not what was written; OSError.
    """
    artifact = read(out)
    report, work = report_of(artifact)
    canonical(artifact, report, work)
    files = covered.files(artifact.out)
    digests = covered.digests(files, progress)
    result = statement.test_result(artifact, report, work, digests)
    made = [result, statement.provenance(artifact, work, digests)]
    signed = sign([statement.text(one) for one in made])
    for name, data in zip(places, signed, strict=True):
        with whole(artifact.out / name) as draft:
            draft.write_bytes(data)
    for name in set(SIGNED) - set(places):
        (artifact.out / name).unlink(missing_ok=True)
    return Attested(result["predicate"]["result"], kinds(files))


def kinds(files: list[covered.File]) -> tuple[tuple[str, int, int], ...]:
    """Of each kind of file that there is, their number and their bytes."""
    found = {told: [file.size for file in files if covered.kind(file.name) == told] for told, _ in covered.KINDS}
    return tuple((told, len(sizes), sum(sizes)) for told, sizes in reversed(found.items()) if sizes)


def report_of(artifact: Artifact) -> tuple[Report, Work]:
    """The report that stands in OUT, and the work that it says it is of. Raises AttestationError, WorkError."""
    file = artifact.report / "report.json"
    try:
        report = Report.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise AttestationError(f"{artifact.out}: has no report; run: tracec verify {artifact.out}") from error
    except (ValueError, RecursionError) as error:
        raise AttestationError(f"{file}: cannot be read as a report; run: tracec merge {artifact.out}") from error
    run = report.registered.run if report.registered else ""
    if not run or Path(run).name != run:
        raise AttestationError(f"{file}: does not say of which run it is; run: tracec merge {artifact.out}")
    return report, opened(artifact.report / "work" / run)


def canonical(artifact: Artifact, report: Report, work: Work) -> None:
    """The records give this very report, byte for byte; what it says beside another OUT aside, which is elsewhere.

    Raises AttestationError, WorkError.
    """
    again = composed(artifact, work)[0].model_copy(update={"comparison": report.comparison})
    file = artifact.report / "report.json"
    if (again.model_dump_json(indent=2) + "\n").encode() != file.read_bytes():
        raise AttestationError(
            f"{file}: is not what its records give; run: tracec merge {artifact.out}, with the version that wrote them"
        )
