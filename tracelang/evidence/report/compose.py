"""From finished units to the report, composed and published in all its forms. The same records give the same report,
wherever made.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tracelang.checkpoint import earlier
from tracelang.evidence import registered
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.bench import Record, select
from tracelang.evidence.expectations import outcome
from tracelang.evidence.known import Known, KnownError
from tracelang.evidence.pictures import roles
from tracelang.evidence.report import figures, gallery
from tracelang.evidence.report.about import about
from tracelang.evidence.report.against import asked, compare
from tracelang.evidence.report.agreeing import agreements
from tracelang.evidence.report.beside import controls
from tracelang.evidence.report.card import model_card
from tracelang.evidence.report.chosen import chosen
from tracelang.evidence.report.figures import Evidence
from tracelang.evidence.report.html import Shown, write_html
from tracelang.evidence.report.many import many
from tracelang.evidence.report.relearning import merging
from tracelang.evidence.report.suites import suites
from tracelang.evidence.report.untested import UNREGISTERED, untested
from tracelang.evidence.schema import Certificate, Cost, Hit, Integrity, Machine, Outcome, Provenance, Report, Verdict
from tracelang.evidence.units import read
from tracelang.evidence.units.rounding import RoundingRecord
from tracelang.evidence.verdicts import worst
from tracelang.evidence.work import Run, Work, WorkError, seal
from tracelang.files import write_text
from tracelang.models.weights import sha256
from tracelang.plan.prompts import canonical_phrase
from tracelang.text import joined


def compose(
    artifact: Artifact, run: Run, records: Mapping[str, Mapping[str, Any]], known: Sequence[Known] = ()
) -> tuple[Report, list[Hit]]:
    """The report and its hits from the records of all units, and what is `known` of judges besides their cards."""
    said = {key: read(record) for key, record in records.items()}
    evidence = Evidence.of(artifact.plan, run, said, known)
    plan = artifact.plan
    outcomes = tuple(outcome(one, evidence.measured) for one in plan.expect)
    errors = _errors(evidence)
    everyday, degrees, quality = evidence.integrity(), tuple(figures.degrees(evidence)), figures.quality(evidence)
    decided = worst([worst([one.verdict for one in outcomes]), everyday.verdict])
    verdict: Verdict = "inconclusive" if errors and decided == "pass" else decided  # whatever failed, no one passes
    report = Report(
        title=plan.recipe.name or f"erase {', '.join(canonical_phrase(plan, one.targets) for one in plan.erase)}",
        about=about(artifact),
        verdict=verdict,
        summary=_summary(outcomes, len(errors), everyday),
        outcomes=outcomes,
        integrity=everyday,
        concepts=tuple(figures.concept(evidence, member) for member in roles(plan)),
        harmonics=tuple(figures.harmonics(evidence)),
        attacks=tuple(figures.attacks(evidence)),
        suites=tuple(suites(evidence)),
        trained_against=plan.trained_against,
        controls=controls(evidence),
        certificate=certificate if isinstance(certificate := evidence.measured.certificate, Certificate) else None,
        degrees=degrees,
        rounding=tuple(row for record in select(said, RoundingRecord).values() for row in record.rows),
        merging=merging(degrees),
        relearning=evidence.measured.relearning,
        noise=evidence.noise,
        chosen=tuple(chosen(artifact.lock)),
        quality=quality,
        judges=figures.cards(evidence),
        agreements=tuple(agreements(evidence)),
        many=many(outcomes),
        errors=errors,
        untested=(*(f"not measured: {line}" for line in artifact.unmeasured()), *untested(evidence, quality)),
        pictures=tuple(gallery.pictures(evidence)),
        cost=_cost(artifact, run, list(said.values()), evidence.prompts),
        provenance=_provenance(artifact, run, records),
    )
    return report, gallery.hits(evidence, artifact.out, artifact.model is not None)


def composed(artifact: Artifact, work: Work, known: Sequence[Known] = ()) -> tuple[Report, list[Hit]]:
    """The report and its hits from finished work, with when it was done, and on what. Raises WorkError."""
    records = work.records()
    try:
        report, hits = compose(artifact, work.run, records, known)
        names = Machine.model_fields
        machines = tuple(Machine.model_validate({name: one[name] for name in names}) for one in work.machines)
        told = registered.told(artifact.report, artifact.plan, work, known)
    except KnownError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # of other versions, or of strangers
        why = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise WorkError(
            f"{work.folder}: its units are not what this version of tracelang writes ({why}); verify again"
        ) from error
    without = report.untested if told.registered else (*report.untested, UNREGISTERED)
    return report.model_copy(update={"registered": told, "machines": machines, "untested": without}), hits


def _cost(artifact: Artifact, run: Run, records: Sequence[Record], prompts: AbstractSet[str]) -> Cost:
    seconds: dict[str, float] = {}
    for record in records:
        seconds[record.kind] = seconds.get(record.kind, 0.0) + record.seconds
    return Cost(
        seconds={name: round(value, 2) for name, value in seconds.items()},
        pictures=sum(record.pictures for record in records),
        prompts=len(prompts),
        words=len({word.casefold() for prompt in prompts for word in re.findall(r"\w+", prompt)}),
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


def _summary(outcomes: Sequence[Outcome], failures: int, everyday: Integrity) -> str:
    """What came of it, in a sentence or two."""
    drawn = "" if everyday.verdict == "pass" else f" Everyday pictures: {everyday.reason}."
    return _counts(outcomes, failures) + drawn


def _counts(outcomes: Sequence[Outcome], failures: int) -> str:
    if not outcomes:
        return "The recipe expects nothing, so nothing was shown. What was measured stands below."
    counts = {name: sum(one.verdict == name for one in outcomes) for name in ("pass", "fail", "inconclusive")}
    told = f"Of {len(outcomes)} expectations {counts['pass']} were shown to hold, {counts['fail']} were shown not to"
    told += f", {counts['inconclusive']} are undecided." if counts["inconclusive"] else "."
    if not failures:
        return told
    told += f" {'1 kind of error stands' if failures == 1 else f'{failures} kinds of errors stand'} below"
    return told + (", and with an error nothing is passed." if counts["pass"] == len(outcomes) else ".")


def _errors(evidence: Evidence) -> tuple[str, ...]:
    """A line each; the same failure on many pictures is one line that counts them."""
    found: dict[str, list[str]] = {}
    for where, judgements in evidence.judgements():
        for name, judgement in judgements.items():
            if judgement.error:
                found.setdefault(f"{name}: {judgement.error}", []).append(where)
    lines = [f"{error} ({len(places)} pictures, first: {places[0]})" for error, places in found.items()]
    for one in evidence.attacked:
        for name, side in (("static", one.static), ("adaptive", one.adaptive)):
            if side.error:
                lines.append(f"attack {one.attack} on {joined(one.member)}, {name}: {side.error}")
    return (*evidence.failures, *lines)


def publish(
    artifact: Artifact,
    work: Work,
    other: Report | None = None,
    say: Callable[[str], None] = warnings.warn,
    pictures: Shown = "plain",
    known: Sequence[Known] = (),
) -> Report:
    """Compose the report of finished work, compared with an `other`, and write all forms of it.

    A report that stands there and says anything else is set aside first, and `say` is told; so it is of one that was
    changed since it was written. Raises WorkError where units are missing or were changed.
    """
    report, hits = composed(artifact, work, known)
    if other is not None:
        report = report.model_copy(update={"comparison": compare(report, other)})
    folder, text = artifact.report, report.model_dump_json(indent=2) + "\n"
    for line in _make_room(artifact, text):
        say(line)
    write_text(folder / "report.json", text)
    write_hits(hits, folder / "hits.jsonl")
    write_html(report, folder, pictures)
    write_text(artifact.out / "README.md", model_card(report, artifact.plan, artifact.out))
    write_text(artifact.out / earlier.WRITTEN, earlier.note(artifact.out))
    registered.published(folder, work.run, report.verdict)
    return report


def write_hits(hits: Sequence[Hit], file: Path) -> None:
    """Write a JSON object a line. No hits give an empty file, which says that they were looked for."""
    write_text(file, "".join(f"{hit.model_dump_json()}\n" for hit in hits))


def _make_room(artifact: Artifact, text: str) -> Iterator[str]:
    """Set the report aside that stands where `text` is to stand, unless it is that very one. What there is to say."""
    out, stands = artifact.out, artifact.report / "report.json"
    touched = list(earlier.changed(out, artifact.manifest["files"].get("README.md", "")))
    old = stands.read_bytes() if stands.exists() else None
    if touched or old not in (None, text.encode()):
        kept = earlier.set_aside(out)
        for name in touched:
            yield f"{out / name}: was changed after it was written; it is written anew, and kept as it was in {kept}"
        if not touched:
            yield f"{stands}: said something else ({_verdict(old)}); it is kept in {kept}"
    (out / earlier.WRITTEN).unlink(missing_ok=True)


def _verdict(report: bytes | None) -> str:
    try:
        return str(json.loads(report or b"")["verdict"])[:40]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "not readable"
