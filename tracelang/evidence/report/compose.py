"""From finished units to the report. The same records give the same report, wherever made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracelang.evidence.artifact import Artifact
from tracelang.evidence.expectations import outcome
from tracelang.evidence.pictures import roles
from tracelang.evidence.report import figures, gallery, remarks
from tracelang.evidence.report.against import asked
from tracelang.evidence.report.evidence import Evidence
from tracelang.evidence.schema import Certificate, Cost, Hit, Provenance, Report, Verdict
from tracelang.evidence.units import read
from tracelang.evidence.units.unit import Record
from tracelang.evidence.verdicts import worst
from tracelang.evidence.work import Run, seal
from tracelang.models.weights import sha256
from tracelang.plan.prompts import canonical_phrase


def compose(artifact: Artifact, run: Run, records: Mapping[str, Mapping[str, Any]]) -> tuple[Report, list[Hit]]:
    """The report and its hits from the records of all units."""
    said = {key: read(record) for key, record in records.items()}
    evidence = Evidence.of(artifact.plan, run, said)
    plan = artifact.plan
    outcomes = tuple(outcome(one, evidence.measured) for one in plan.expect)
    errors = remarks.errors(evidence)
    everyday = evidence.integrity()
    decided = worst([worst([one.verdict for one in outcomes]), everyday.verdict])
    verdict: Verdict = "inconclusive" if errors and decided == "pass" else decided  # whatever failed, no one passes
    report = Report(
        title=plan.recipe.name or f"erase {', '.join(canonical_phrase(plan, one.targets) for one in plan.erase)}",
        verdict=verdict,
        summary=remarks.summary(outcomes, len(errors), everyday),
        outcomes=outcomes,
        integrity=everyday,
        concepts=tuple(figures.concept(evidence, member) for member in roles(plan)),
        harmonics=tuple(figures.harmonics(evidence)),
        attacks=tuple(figures.attacks(evidence)),
        certificate=evidence.certificate if isinstance(evidence.certificate, Certificate) else None,
        degrees=tuple(figures.degrees(evidence)),
        noise=evidence.noise,
        quality=figures.quality(evidence),
        judges=figures.cards(evidence),
        errors=errors,
        untested=(*(f"not measured: {line}" for line in artifact.unmeasured()), *remarks.untested(evidence)),
        pictures=tuple(gallery.pictures(evidence)),
        cost=_cost(artifact, run, list(said.values())),
        provenance=_provenance(artifact, run, records),
    )
    return report, gallery.hits(evidence, artifact.out, artifact.model is not None)


def _cost(artifact: Artifact, run: Run, records: Sequence[Record]) -> Cost:
    seconds: dict[str, float] = {}
    for record in records:
        seconds[record.kind] = seconds.get(record.kind, 0.0) + record.seconds
    return Cost(
        seconds={name: round(value, 2) for name, value in seconds.items()},
        pictures=sum(record.pictures for record in records),
        device=run.facts["device"],
        dtype=run.facts["sampler"]["precision"],
        peak_memory=max((record.memory for record in records), default=0),
        artifact=artifact.size(),
    )


def _provenance(artifact: Artifact, run: Run, records: Mapping[str, Mapping[str, Any]]) -> Provenance:
    facts = run.facts
    return Provenance(
        plan=artifact.plan.digest,
        recipe=artifact.recipe(),
        lock=artifact.lock_text,
        base=str(artifact.lock.get("base_model", artifact.lock["model"]["name"])),
        base_fingerprint=facts["base"],
        edited_fingerprint=facts["edited"],
        versions=facts["versions"],
        sampler=facts["sampler"],
        seeds="sha256 of (purpose, prompt, number, the expectation's seed), the purpose of plain pictures being "
        "`verify`, so none is one of training's; base and edited model share every one",
        compiled=artifact.compiled,
        asked=asked(artifact.plan, run),
        manifest=sha256(artifact.out / "manifest.json"),
        records=seal(records),
        unmeasured=artifact.unmeasured(),
    )
