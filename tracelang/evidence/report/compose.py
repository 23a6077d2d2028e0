"""From finished units to the report: counting, no measuring. The same records give the same report, wherever made."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tracelang.checkpoint import earlier
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.expectations import outcome
from tracelang.evidence.integrity import integrity
from tracelang.evidence.measured import Drawn, Measured, Pair
from tracelang.evidence.metrics import harmonic
from tracelang.evidence.metrics.distances import between, fid, kid_paired
from tracelang.evidence.pictures import (
    Row,
    Sample,
    degree_samples,
    drawable,
    kind_of,
    main_row,
    roles,
    rows,
    samples_of,
)
from tracelang.evidence.report import gallery
from tracelang.evidence.schema import (
    AttackFinding,
    Certificate,
    ConceptFinding,
    Cost,
    DegreePoint,
    Harmonic,
    Hit,
    Integrity,
    JudgeCard,
    NoiseLevels,
    Outcome,
    Provenance,
    Quality,
    Rate,
    Report,
    Verdict,
)
from tracelang.evidence.shots import Failed, Judgement, Judgements, presence
from tracelang.evidence.units import read
from tracelang.evidence.units.attack import AttackRecord, AttackResult
from tracelang.evidence.units.certificate import CertificateRecord
from tracelang.evidence.units.degree import DEGREES, DegreeRecord
from tracelang.evidence.units.drift import DriftRecord
from tracelang.evidence.units.everyday import EverydayRecord
from tracelang.evidence.units.noise import NoiseRecord
from tracelang.evidence.units.shots import ShotsRecord
from tracelang.evidence.units.unit import Record, select
from tracelang.evidence.verdicts import paired, rate, worst
from tracelang.evidence.work import Run, Work, seal
from tracelang.files import write_text
from tracelang.models.weights import sha256
from tracelang.plan.prompts import canonical_phrase, probe_prompts
from tracelang.plan.types import Member, Plan

ALWAYS_UNTESTED = (
    "whether fine-tuning the edited weights, on a few pictures of a concept, brings it back",
    "other ways in: image-to-image, inpainting, ControlNet, adapters by others, other text encoders",
    "other samplers, numbers of steps, guidance scales and picture sizes than the ones stated",
    "prompts in other languages, and concepts that the recipe does not name",
)


def publish(
    artifact: Artifact, work: Work, other: Report | None = None, say: Callable[[str], None] = warnings.warn
) -> Report:
    """Compose the report of finished work, compared with an `other`, and write all forms of it.

    A report that stands there and says anything else is set aside first, and `say` is told; so it is of one that was
    changed since it was written. Raises WorkError where units are missing or were changed.
    """
    from tracelang.evidence.report.against import compare
    from tracelang.evidence.report.card import model_card
    from tracelang.evidence.report.html import write_html

    report, hits = compose(artifact, work.run, work.records())
    if other is not None:
        report = report.model_copy(update={"comparison": compare(report, other)})
    folder, text = artifact.report, report.model_dump_json(indent=2) + "\n"
    for line in _make_room(artifact, text):
        say(line)
    write_text(folder / "report.json", text)
    write_hits(hits, folder / "hits.jsonl")
    write_html(report, folder)
    write_text(artifact.out / "README.md", model_card(report, artifact.plan, artifact.out))
    write_text(artifact.out / earlier.WRITTEN, earlier.note(artifact.out))
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


def compose(artifact: Artifact, run: Run, records: Mapping[str, Mapping[str, Any]]) -> tuple[Report, list[Hit]]:
    """The report and its hits from the records of all units."""
    said = {key: read(record) for key, record in records.items()}
    found = Findings.of(artifact.plan, run, said)
    plan = artifact.plan
    outcomes = tuple(outcome(one, found.measured) for one in plan.expect)
    errors = found.errors()
    everyday = found.integrity()
    decided = worst([worst([one.verdict for one in outcomes]), everyday.verdict])
    verdict: Verdict = "inconclusive" if errors and decided == "pass" else decided  # whatever failed, no one passes
    report = Report(
        title=plan.recipe.name or f"erase {', '.join(canonical_phrase(plan, one.targets) for one in plan.erase)}",
        verdict=verdict,
        summary=_summary(outcomes, verdict, len(errors), everyday),
        outcomes=outcomes,
        integrity=everyday,
        concepts=tuple(found.concept(member) for member in roles(plan)),
        harmonics=tuple(found.harmonics()),
        attacks=tuple(found.attacks()),
        certificate=found.certificate if isinstance(found.certificate, Certificate) else None,
        degrees=tuple(found.degrees()),
        noise=found.noise,
        quality=found.quality(),
        judges=found.cards(),
        errors=errors,
        untested=(*(f"not measured: {line}" for line in artifact.unmeasured()), *found.untested()),
        pictures=tuple(gallery.pictures(found)),
        cost=_cost(artifact, run, list(said.values())),
        provenance=_provenance(artifact, run, records),
    )
    return report, gallery.hits(found, artifact.out, artifact.model is not None)


@dataclass(frozen=True)
class Findings:
    """The records, read."""

    plan: Plan
    run: Run
    measured: Measured
    attacked: tuple[AttackResult, ...]
    at_degree: Mapping[float, Mapping[Sample, Mapping[str, Judgement]]]
    noise: NoiseLevels | None
    certificate: Certificate | Failed | None
    everyday: EverydayRecord | None
    failures: tuple[str, ...]

    @staticmethod
    def of(plan: Plan, run: Run, records: Mapping[str, Record]) -> Findings:
        shots = select(records, ShotsRecord)
        pictures = {
            row.sample: Drawn(row.base, row.after, row.clip, row.files, key)
            for key, record in shots.items()
            for row in record.rows
        }
        features = {sample: pair for record in shots.values() for sample, pair in record.pairs_of_features().items()}
        made = [record.features for record in shots.values() if record.features and not record.features.error]
        extractor = made[-1].extractor if made else ""
        at_degree: dict[float, dict[Sample, Judgements]] = {}
        for scaled in select(records, DegreeRecord).values():
            at_degree.setdefault(scaled.degree, {}).update({row.sample: row.after for row in scaled.rows})
        attacked = tuple(
            record.result(key, run.classes[record.member]) for key, record in select(records, AttackRecord).items()
        )
        drifts = {
            asked: moved for record in select(records, DriftRecord).values() for asked, moved in record.drifts().items()
        }
        noise = next((record.value for record in select(records, NoiseRecord).values()), None)
        certificate = next((record.certificate for record in select(records, CertificateRecord).values()), None)
        everyday = next(iter(select(records, EverydayRecord).values()), None)
        failures = tuple(f"{key}: {line}" for key, record in records.items() for line in record.failures)
        attacks = {(one.member, one.attack, one.samples, one.seed): one.adaptive for one in attacked}
        measured = Measured(plan, run.classes, run.unknown, pictures, attacks, drifts, certificate, features, extractor)
        return Findings(
            plan,
            run,
            measured,
            attacked,
            at_degree,
            noise,
            certificate,
            everyday,
            failures,
        )

    @cached_property
    def every(self) -> tuple[Row, ...]:
        return rows(self.plan, self.run.classes, self.run.facts["samples"])

    def row(self, member: Member, how: Literal["names", "probes"] = "names") -> list[Pair]:
        """The pictures of the row that stands for the member, those with an error too."""
        row = main_row(self.plan, self.every, member, how)
        return self.measured.pairs(row) if row is not None else []

    def integrity(self) -> Integrity:
        """What the everyday panel says."""
        record = self.everyday
        return integrity(()) if record is None else integrity([r.pair for r in record.rows], record.apart, record.by)

    def concept(self, member: Member) -> ConceptFinding:
        plan, sought = self.plan, self.run.classes.get(member)
        pairs, probes = self.row(member), self.row(member, "probes")
        good, held = _good(pairs), _good(probes)
        notes = [] if sought else [self.run.unknown.get(member, "no judge looked")]
        lost = len(pairs) - len(good) + len(probes) - len(held)
        if lost:
            notes.append(f"{lost} pictures have an error and are not counted")
        subjects = [pair.after.subject for pair in good if pair.after.subject is not None]
        chances = [pair.after.chance for pair in good if pair.after.chance is not None]
        drifts = {key: value for key, value in self.measured.drifts.items() if key[0] == member}
        drift = drifts[max(drifts, key=lambda key: key[1])] if drifts else None
        counted = bool(sought and good)
        return ConceptFinding(
            member=member,
            words=tuple(word for name in member for word in plan.concept(name).names),
            kind=kind_of(plan, member),
            role=roles(plan)[member],
            judge=" + ".join(dict.fromkeys(one.judge for one in sought)) if sought else None,
            judged_as=" + ".join(one.found.label for one in sought) if sought else None,
            base=_rate([pair.base.shows for pair in good]) if counted else None,
            after=_rate([pair.after.shows for pair in good]) if counted else None,
            paired=paired([p.base.shows for p in good], [p.after.shows for p in good]) if counted else None,
            probes=_rate([pair.after.shows for pair in held]) if sought and held else None,
            worst_probe=self._worst_probe(member, held) if sought and held else None,
            subject=_rate(subjects) if subjects else None,
            probability=sum(chances) / len(chances) if sought and chances else None,
            drift=drift if isinstance(drift, float) else None,
            note="; ".join(notes),
        )

    def _worst_probe(self, member: Member, pairs: Sequence[Pair]) -> tuple[str, Rate]:
        phrases = {prompt.text: prompt.phrase for prompt in probe_prompts(self.plan, member)}
        groups: dict[str, list[bool]] = {}
        for pair in pairs:
            groups.setdefault(phrases[pair.sample.prompt], []).append(pair.after.shows)
        found = {phrase: _rate(shows) for phrase, shows in groups.items()}
        phrase = max(found, key=lambda phrase: (found[phrase].low, found[phrase].share, found[phrase].n))
        return phrase, found[phrase]

    def harmonics(self) -> Iterator[Harmonic]:
        kept = {
            member: _good(self.row(member))
            for member, role in roles(self.plan).items()
            if role == "preserved" and member in self.run.classes
        }
        others = {member: pairs for member, pairs in kept.items() if pairs}
        for member, role in roles(self.plan).items():
            pairs, probes = _good(self.row(member)), _good(self.row(member, "probes"))
            if role != "erased" or member not in self.run.classes or not pairs or not others:
                continue
            kind, spared = kind_of(self.plan, member), [harmonic.answers(some) for some in others.values()]
            if kind == "object" and probes:
                yield harmonic.objects(member, harmonic.answers(pairs), spared, harmonic.answers(probes))
            elif kind == "identity":
                yield harmonic.identities(member, harmonic.answers(pairs), spared)
            elif kind == "style":
                clips = [pair.clip for pair in pairs if pair.clip]
                spare = [pair.clip for some in others.values() for pair in some if pair.clip]
                if clips and spare:
                    yield harmonic.styles(
                        member,
                        [b for _, b in clips],
                        [b for _, b in spare],
                        [a for a, _ in clips],
                        [a for a, _ in spare],
                    )

    def attacks(self) -> Iterator[AttackFinding]:
        main: dict[tuple[Member, str], AttackResult] = {}
        for one in self.attacked:
            held = main.get((one.member, one.attack))
            if held is None or one.samples > held.samples:
                main[one.member, one.attack] = one
        for one in main.values():
            plain = _good(self.row(one.member))
            bad = [row.after.error for row in (*one.static.rows, *one.adaptive.rows) if row.after.error]
            error = one.adaptive.error or one.static.error or (f"{len(bad)} pictures: {bad[0]}" if bad else "")
            error = error or one.adaptive.inapplicable or one.static.inapplicable
            yield AttackFinding(
                member=one.member,
                attack=one.attack,
                access=self.run.attacks[one.attack],
                budget=dict(one.adaptive.budget or one.static.budget),
                plain=_rate([pair.after.shows for pair in plain]) if plain else None,
                static=one.static.rate,
                adaptive=one.adaptive.rate,
                base=one.adaptive.ceiling,
                prompts=one.adaptive.prompts,
                worst=one.adaptive.worst,
                by_form=one.adaptive.by_form,
                price=one.adaptive.price,
                examples=one.adaptive.examples,
                error=error,
                seconds=one.static.seconds + one.adaptive.seconds,
            )

    def degrees(self) -> Iterator[DegreePoint]:
        wanted = degree_samples(self.plan, self.every)
        if not self.at_degree:
            return
        for degree in (0.0, *DEGREES, 1.0):

            def judged(sample: Sample, degree: float = degree) -> Mapping[str, Judgement] | None:
                drawn = self.measured.pictures.get(sample)
                if degree in (0, 1):
                    return None if drawn is None else drawn.after if degree else drawn.base
                return self.at_degree.get(degree, {}).get(sample)

            shown, kept = list[bool](), list[bool]()
            for sample, members in wanted.items():
                found, drawn = judged(sample), self.measured.pictures.get(sample)
                for member in members:
                    sought = self.run.classes.get(member)
                    if found is None or drawn is None or sought is None:
                        continue
                    now, before = presence(found, sought), presence(drawn.base, sought)
                    if now.error or before.error:
                        continue
                    if roles(self.plan)[member] == "erased":
                        shown.append(now.shows)
                    elif before.shows:
                        kept.append(now.shows)
            yield DegreePoint(degree=degree, shown=_rate(shown), kept=_rate(kept) if kept else None)

    def quality(self) -> Quality | None:
        """Over the preserved concepts' pictures: of erased ones a distance is what was asked for."""
        shots = [
            sample
            for member, role in roles(self.plan).items()
            if role == "preserved"
            for row in self.every
            if row.member == member and row.how == "names"
            for sample in samples_of(self.plan, row)
        ]
        shots = [sample for sample in dict.fromkeys(shots) if sample in self.measured.pictures]
        if not shots:
            return None
        notes = [
            "over the pictures of all preserved concepts, base against edited, which share their seeds: KID compares "
            "no two pictures of one seed, FID is smaller than between independent sets"
        ]
        values: dict[str, float | None] = {}
        for name, distance in (("fid", fid), ("kid", kid_paired)):
            found = between(distance, self.measured, shots)
            values[name] = found if isinstance(found, float) else None
            if isinstance(found, Failed):
                notes.append(f"{name.upper()}: {found.why}")
        clips = [clip for sample in shots if (clip := self.measured.pictures[sample].clip)]
        if not clips:
            notes.append("CLIP score: no judge gives it; add --judge clip=FOLDER")
        return Quality(
            **values,
            n=len(shots),
            extractor=self.measured.extractor,
            notes=tuple(notes),
            clip_base=sum(base for base, _ in clips) / len(clips) if clips else None,
            clip_after=sum(after for _, after in clips) / len(clips) if clips else None,
        )

    def _judgements(self) -> Iterator[tuple[str, Mapping[str, Judgement]]]:
        """Every judgement there was, with what was looked at."""
        for sample, drawn in self.measured.pictures.items():
            for name, judgements in (("base", drawn.base), ("edited", drawn.after)):
                yield f"{name}, {sample.prompt!r}, seed {sample.seed}", judgements
        for degree, seen in self.at_degree.items():
            for sample, judgements in seen.items():
                yield f"degree {degree:.0%}, {sample.prompt!r}, seed {sample.seed}", judgements
        for one in self.attacked:
            for side in (one.static, one.adaptive):
                for row in side.rows:
                    yield f"attack {one.attack}, {row.sample.prompt!r}, seed {row.sample.seed}", row.judged
                for row in side.rows:
                    if row.base_judged is not None:
                        where = f"{row.sample.prompt!r}, seed {row.sample.seed}"
                        yield f"attack {one.attack} on the base, {where}", row.base_judged
        for shown in self.everyday.rows if self.everyday else ():
            for when, judgements in (("base", shown.base), ("after", shown.after)):
                yield f"everyday {when}, {shown.prompt!r}, seed {shown.seed}", judgements

    def cards(self) -> tuple[JudgeCard, ...]:
        pictures, errors = dict[str, int](), dict[str, int]()
        for _, judgements in self._judgements():
            for name, judgement in judgements.items():
                pictures[name] = pictures.get(name, 0) + 1
                errors[name] = errors.get(name, 0) + bool(judgement.error)
        return tuple(
            card.model_copy(update={"pictures": pictures.get(card.name, 0), "errors": errors.get(card.name, 0)})
            for card in self.run.cards
        )

    def errors(self) -> tuple[str, ...]:
        """A line each; the same failure on many pictures is one line that counts them."""
        found: dict[str, list[str]] = {}
        for where, judgements in self._judgements():
            for name, judgement in judgements.items():
                if judgement.error:
                    found.setdefault(f"{name}: {judgement.error}", []).append(where)
        lines = [f"{error} ({len(places)} pictures, first: {places[0]})" for error, places in found.items()]
        for one in self.attacked:
            for name, side in (("static", one.static), ("adaptive", one.adaptive)):
                if side.error:
                    lines.append(f"attack {one.attack} on {' & '.join(one.member)}, {name}: {side.error}")
        return (*self.failures, *lines)

    def untested(self) -> tuple[str, ...]:
        plan, lines = self.plan, list(self.run.notes)
        for member, role in roles(plan).items():
            name = " & ".join(member)
            if not drawable(plan, member):
                lines.append(f"{name}: what pictures of it show, and attacks on it; it is protected, so none is drawn")
            elif member in self.run.unknown:
                lines.append(f"{name}: what its pictures show; {self.run.unknown[member]}")
            elif role == "erased" and not self.row(member, "probes"):
                lines.append(f"{name}: words that suggest it without naming it; the recipe gives it no probes")
        for one in self.attacked:
            if why := one.adaptive.inapplicable or one.static.inapplicable:
                lines.append(f"{' & '.join(one.member)}: the attack {one.attack}; {why}")
        done = {(one.member, one.attack) for one in self.attacked}
        missing = [
            attack
            for attack in self.run.attacks
            if any((one.targets, attack) not in done for one in plan.active if one.targets in self.run.classes)
        ]
        if missing:
            lines.append(f"attacks that were not run on every erased concept: {', '.join(missing)}")
        if not self.run.attacks:
            lines.append("any attack")
        return (*lines, *ALWAYS_UNTESTED)


def _good(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if not pair.error]


def _rate(shows: Sequence[bool]) -> Rate:
    return rate(sum(shows), len(shows))


def _summary(outcomes: Sequence[Outcome], verdict: Verdict, errors: int, everyday: Integrity) -> str:
    drawn = "" if everyday.verdict == "pass" else f" Everyday pictures: {everyday.reason}."
    return _counts(outcomes, errors) + drawn


def _counts(outcomes: Sequence[Outcome], errors: int) -> str:
    if not outcomes:
        return "The recipe expects nothing, so nothing was shown. What was measured stands below."
    counts = {name: sum(one.verdict == name for one in outcomes) for name in ("pass", "fail", "inconclusive")}
    told = f"Of {len(outcomes)} expectations {counts['pass']} were shown to hold, {counts['fail']} were shown not to"
    told += f", {counts['inconclusive']} are undecided." if counts["inconclusive"] else "."
    if not errors:
        return told
    told += f" {'1 kind of error stands' if errors == 1 else f'{errors} kinds of errors stand'} below"
    return told + (", and with an error nothing is passed." if counts["pass"] == len(outcomes) else ".")


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
    from tracelang.evidence.report.against import asked

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
