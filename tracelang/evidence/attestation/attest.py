"""`attest`: both statements of a verified OUT, signed and put beside its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracelang.checkpoint.earlier import SIGNED
from tracelang.evidence.artifact import read
from tracelang.evidence.attestation import covered, statement
from tracelang.evidence.report.standing import canonical, standing
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

    Raises AttestationError; EvidenceError, WorkError, CompileError where OUT is not what was written, or the report not
    what its records give; OSError.
    """
    artifact = read(out)
    report, work = standing(artifact)
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
