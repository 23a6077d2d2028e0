"""`verify --attested`: are the signature, every file, the recipe and the report what was signed? Nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracelang.evidence.artifact import Artifact, read
from tracelang.evidence.attestation import covered, keys, statement
from tracelang.evidence.attestation.attest import kinds
from tracelang.evidence.attestation.errors import AttestationError, NotAsSigned
from tracelang.evidence.attestation.statement import PROVENANCE, RESULTS, TEST_RESULT, Statement
from tracelang.evidence.report.standing import canonical, standing
from tracelang.evidence.schema import Report
from tracelang.evidence.work import Work
from tracelang.progress import Progress
from tracelang.version import __version__

Open = Callable[[bytes, str], bytes]
"""From an attestation's bytes and its place to the payload, once its signature is found good."""


@dataclass(frozen=True, slots=True)
class Held:
    """An attestation that holds: the report it is of, files and bytes of each kind that it covers, and what it says
    nothing about.
    """

    report: Report
    kinds: tuple[tuple[str, int, int], ...]
    uncovered: tuple[str, ...]


def check(out: Path, opened: Open, places: tuple[str, ...], progress: Progress | None = None) -> Held:
    """Check what is signed at `places` in OUT against OUT.

    Raises NotAsSigned, which names every file that differs; AttestationError for a signature or a statement that does
    not hold; EvidenceError, WorkError, CompileError where OUT contradicts itself; OSError.
    """
    result, provenance = (
        statement.parse(opened(keys.read(out / place), str(out / place)), str(out / place), kind)
        for place, kind in zip(places, (TEST_RESULT, PROVENANCE), strict=True)
    )
    files = covered.files(out)
    found = covered.digests(files, progress)
    if lines := covered.compared(out, result.digests, found):
        raise NotAsSigned(lines)
    artifact = read(out)
    report, work = standing(artifact)
    canonical(artifact, report, work)
    _agree(out / places[0], result, report, statement.result(artifact, report, work, found), provenance)
    products = statement.provenance(artifact, work, found)
    if provenance.digests != {one["name"]: one["digest"]["sha256"] for one in products["subject"]}:
        raise AttestationError(f"{out / places[1]}: is of other files than this OUT; do not trust it")
    _agree(out / places[1], provenance, report, products["predicate"], provenance)
    return Held(report, kinds(files), tuple(_uncovered(artifact, report, work)))


def _agree(place: Path, signed: Statement, report: Report, again: dict[str, object], provenance: Statement) -> None:
    """What is signed is what OUT gives. Another version of tracelang may word it otherwise, but not the result."""
    if "result" in again and signed.predicate.get("result") != RESULTS[report.verdict]:
        raise AttestationError(f"{place}: says {str(signed.predicate.get('result'))[:20]!r} where the report does not")
    run = provenance.predicate.get("runDetails")
    builder = run.get("builder") if isinstance(run, dict) else None
    version = builder.get("version") if isinstance(builder, dict) else None
    by = version.get("tracelang") if isinstance(version, dict) else None
    if signed.predicate != again and (by == __version__ or not isinstance(by, str)):
        raise AttestationError(f"{place}: does not say what this OUT gives; do not trust it")


def _uncovered(artifact: Artifact, report: Report, work: Work) -> list[str]:
    lines = [
        f"the base model itself: it is named by its fingerprint, {report.provenance.base_fingerprint[:20]}…",
        "that the pictures were drawn as the records say: tracec reproduce draws them again",
        "dates: they are of the clock of whoever ran it",
    ]
    lines += [f"the weights and code of the judge {one.name}: named by their digest" for one in work.run.cards]
    if report.comparison:
        lines.append(f"what the report says beside {report.comparison.title}, which is another OUT")
    hidden = sorted(path.name for path in artifact.out.iterdir() if path.name.startswith("."))
    lines += [f"{name}, which is hidden in OUT" for name in hidden]
    return lines
