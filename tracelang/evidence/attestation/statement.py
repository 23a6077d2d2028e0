"""The two statements, in-toto Statement v1: a test result (test-result v0.1) and a provenance (SLSA provenance v1).

github.com/in-toto/attestation, spec/v1/statement.md and spec/predicates/test-result.md; slsa.dev/provenance/v1. The
same OUT gives the same bytes: there is no date of signing in them. What is read here was written by others until a
signature says who, so every name and size is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tracelang.evidence.artifact import Artifact
from tracelang.evidence.attestation.covered import MANY
from tracelang.evidence.attestation.errors import AttestationError
from tracelang.evidence.panel import digest
from tracelang.evidence.report.wording import formula
from tracelang.evidence.schema import Report, Verdict
from tracelang.evidence.work import Work
from tracelang.version import __version__

PAYLOAD = "application/vnd.in-toto+json"
"""The payload's type in a DSSE envelope."""
STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD = "pkg:pypi/tracelang#apply/v1"
"""The type of build of the provenance: `tracec apply` with the recipe and params of `externalParameters`."""
RESULTS: dict[Verdict, Literal["PASSED", "WARNED", "FAILED"]] = {
    "pass": "PASSED",
    "inconclusive": "WARNED",
    "fail": "FAILED",
}
"""The predicate knows three results; WARNED is the one that is neither."""
EVERYDAY = "everyday pictures"
LARGE = 64 << 20
"""Bytes of a statement; one file of an OUT takes about 150."""

Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Signed(BaseModel):
    """Fields that nobody knows are passed over, as in-toto's parsing rules ask."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Digest(Signed):
    sha256: Hex


class Subject(Signed):
    name: Annotated[str, Field(min_length=1, max_length=4096)]
    digest: Digest


class Statement(Signed):
    """A statement whose predicate is still to be looked at."""

    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=MANY)]
    predicate_type: Annotated[str, Field(alias="predicateType", max_length=200)]
    predicate: dict[str, JsonValue]

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of each file by its path in OUT."""
        return {one.name: one.digest.sha256 for one in self.subject}


def parse(payload: bytes, where: str, predicate_type: str) -> Statement:
    """A statement of one type. Raises AttestationError for anything else, and for a path that leads out of an OUT."""
    if len(payload) > LARGE:
        raise AttestationError(f"{where}: is larger than any statement ({LARGE >> 20} MB); attest OUT again")
    try:
        found = Statement.model_validate_json(payload)
    except (ValidationError, RecursionError) as error:
        raise AttestationError(f"{where}: is no in-toto statement v1 ({_first(error)}); attest OUT again") from error
    if found.predicate_type != predicate_type:
        raise AttestationError(
            f"{where}: states {found.predicate_type[:80]!r} where {predicate_type!r} belongs; attest OUT again"
        )
    for one in found.subject:
        path = PurePosixPath(one.name)
        if path.is_absolute() or ".." in path.parts or str(path) != one.name or "\0" in one.name:
            raise AttestationError(f"{where}: speaks of {one.name[:80]!r}, which is no path in an OUT; do not trust it")
    if len(found.digests) != len(found.subject):
        raise AttestationError(f"{where}: speaks of one file twice; do not trust it")
    return found


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "nested too deeply"
    one = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in one["loc"])[:80]
    return f"{place}: {one['msg']}"[:200] if place else one["msg"][:200]


def text(statement: Mapping[str, Any]) -> bytes:
    """The bytes that are signed."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def test_result(artifact: Artifact, report: Report, work: Work, digests: Mapping[str, str]) -> dict[str, Any]:
    """What was tested, all of it, and what came out: `digests` are of every file that is covered."""
    return _statement(digests, TEST_RESULT, result(artifact, report, work, digests))


def result(artifact: Artifact, report: Report, work: Work, digests: Mapping[str, str]) -> dict[str, Any]:
    """The predicate: its tests are the recipe's expectations, as the recipe writes them, and the everyday panel."""
    tests = [(formula(one), one.verdict) for one in report.outcomes]
    tests += [(EVERYDAY, report.integrity.verdict)] if report.integrity else []
    run = (work.folder / "run.json").relative_to(artifact.out).as_posix()
    asked = [name for name in digests if name.startswith("recipe/") or name in ("plan.json", "lock.json", run)]
    judges = [{"name": f"judge {one.name}", "digest": {"sha256": digest(one)}} for one in work.run.cards]
    return {
        "result": RESULTS[report.verdict],
        "configuration": [*(_file(name, digests[name]) for name in asked), *judges],
        **{
            field: [name for name, verdict in tests if verdict == wanted]
            for field, wanted in (("passedTests", "pass"), ("warnedTests", "inconclusive"), ("failedTests", "fail"))
        },
    }


def provenance(artifact: Artifact, work: Work, digests: Mapping[str, str]) -> dict[str, Any]:
    """What `tracec apply` wrote, without the card, which verification writes anew, and what it was made of."""
    products = {
        name: digest for name, digest in digests.items() if not name.startswith("report/") and name != "README.md"
    }
    return _statement(products, PROVENANCE, origin(artifact, work))


def origin(artifact: Artifact, work: Work) -> dict[str, Any]:
    """The predicate: the base by component, the recipe and its lists, the judges, and the versions of it all."""
    lock, base = artifact.lock, artifact.lock["model"]
    materials: list[dict[str, Any]] = [
        {"name": f"base/{name}", "digest": {"sha256": sha256}, "annotations": {"model": str(base.get("name", ""))}}
        for name, sha256 in {**base.get("components", {}), **base.get("settings", {})}.items()
    ]
    materials += [
        {**_file(source.path, source.sha256), "annotations": {"role": source.role}} for source in artifact.plan.sources
    ]
    materials += [
        {"name": f"judge {one.name}", "digest": {"sha256": digest(one)}, "annotations": {"role": "judge"}}
        for one in work.run.cards
    ]
    versions = {**lock.get("versions", {}), **work.run.facts.get("versions", {})}
    materials += [{"uri": f"pkg:pypi/{name}@{version}"} for name, version in sorted(versions.items())]
    return {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {
                "recipe": lock.get("recipe"),
                "plan": artifact.plan.digest,
                "model": str(lock.get("base_model", base.get("name", ""))),
                "fingerprint": str(base["fingerprint"]),
                "emit": list(artifact.manifest["emit"]),
            },
            "internalParameters": {name: lock[name] for name in ("device", "dtype", "seeds") if name in lock},
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": "pkg:pypi/tracelang", "version": {"tracelang": __version__}}},
    }


def _statement(digests: Mapping[str, str], predicate_type: str, predicate: dict[str, Any]) -> dict[str, Any]:
    subject = [_file(name, sha256) for name, sha256 in sorted(digests.items())]
    return {"_type": STATEMENT, "subject": subject, "predicateType": predicate_type, "predicate": predicate}


def _file(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}
