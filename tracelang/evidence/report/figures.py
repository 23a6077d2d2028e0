"""The records of all units, read, and the figures counted from them; nothing is measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tracelang.evidence.bench import Failed, Judgements, Record, presence, select
from tracelang.evidence.judges import named
from tracelang.evidence.known import Known, accuracies, labels
from tracelang.evidence.metrics import harmonic
from tracelang.evidence.metrics.distances import between, fid, kid_paired
from tracelang.evidence.metrics.metric import Drawn, Measured, Pair
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import How, Row, Sample, degree_samples, kind_of, main_row, roles, rows, samples_of
from tracelang.evidence.report.changed import changed
from tracelang.evidence.report.relearning import Learnt
from tracelang.evidence.schema import (
    AttackFinding,
    ConceptFinding,
    DegreePoint,
    Harmonic,
    Integrity,
    JudgeCard,
    NoiseLevels,
    Quality,
    Rate,
    Spread,
)
from tracelang.evidence.units.attack import AttackRecord, AttackResult
from tracelang.evidence.units.certificate import CertificateRecord
from tracelang.evidence.units.control import ControlRecord, ControlSide, Probe, suited
from tracelang.evidence.units.degree import DEGREES, DegreeRecord
from tracelang.evidence.units.drift import DriftRecord
from tracelang.evidence.units.everyday import EverydayRecord, integrity
from tracelang.evidence.units.floor import FloorRecord
from tracelang.evidence.units.noise import NoiseRecord
from tracelang.evidence.units.shots import ShotsRecord
from tracelang.evidence.verdicts import paired, rate
from tracelang.evidence.work import Run
from tracelang.plan.explain import after as told
from tracelang.plan.prompts import probe_prompts
from tracelang.plan.protected import guard
from tracelang.plan.types import Member, Plan

INSTEAD = 3
"""So many things are told that are seen in place of a concept."""
NOTHING, CLOSED = "nothing", "something protected"


@dataclass(frozen=True)
class Evidence:
    """What one run found out about a plan."""

    plan: Plan
    run: Run
    measured: Measured
    attacked: tuple[AttackResult, ...]
    at_degree: Mapping[float, Mapping[Sample, Judgements]]
    noise: NoiseLevels | None
    everyday: EverydayRecord | None
    floor: FloorRecord | None
    beside: tuple[ControlRecord, ...]
    failures: tuple[str, ...]

    @staticmethod
    def of(plan: Plan, run: Run, records: Mapping[str, Record], known: Sequence[Known] = ()) -> Evidence:
        """What the records of all units, by their keys, say together."""
        shots = select(records, ShotsRecord)
        pictures = {
            row.sample: Drawn(row.base, row.after, row.clip, None if row.aside else row.files, key)
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
        accuracy = accuracies(run.cards, known)
        unedited = {(one.member, one.attack, one.samples, one.seed): one.unedited for one in attacked}
        controls: dict[Probe, dict[str, ControlSide]] = {}
        beside = tuple(select(records, ControlRecord).values())
        known_suites = {probe: probe for probe in suited(plan)}  # whose prompts stand in the plan alone
        for tried in beside:
            probe = Probe(tried.member, tried.how, tried.samples, tried.seed)
            probe = known_suites.get(probe, probe)
            controls.setdefault(probe, {})[tried.control] = tried.side(run.classes[tried.member])
        floor = next(iter(select(records, FloorRecord).values()), None)
        measured = Measured(
            plan,
            run.classes,
            run.unknown,
            pictures,
            attacks,
            unedited,
            controls,
            drifts,
            certificate,
            features,
            extractor,
            accuracy,
            relearning=tuple(Learnt.of(records).findings()),
            after=changed(records, run.classes),
        )
        return Evidence(plan, run, measured, attacked, at_degree, noise, everyday, floor, beside, failures)

    @cached_property
    def every(self) -> tuple[Row, ...]:
        """Every row of pictures."""
        return rows(self.plan, self.run.classes, self.run.facts["samples"])

    def row(self, member: Member, how: How = "names") -> list[Pair]:
        """The pictures of the row that stands for the member, those with an error too."""
        row = main_row(self.plan, self.every, member, how)
        return self.measured.pairs(row) if row is not None else []

    def at(self, degree: float, sample: Sample) -> Judgements | None:
        """The judgements of a sample at a degree, 0 being the base and 1 the edit; None where it was not drawn."""
        if degree not in (0, 1):
            return self.at_degree.get(degree, {}).get(sample)
        drawn = self.measured.pictures.get(sample)
        return None if drawn is None else drawn.after if degree else drawn.base

    def integrity(self) -> Integrity:
        """What the everyday panel says."""
        record = self.everyday
        return integrity(()) if record is None else integrity([r.pair for r in record.rows], record.apart, record.by)

    @property
    def prompts(self) -> frozenset[str]:
        """Every prompt that a picture was drawn with and judged; of soft states there is none."""
        drawn = [sample.prompt for sample in self.measured.pictures]
        drawn += [
            row.sample.prompt for one in self.attacked for side in (one.static, one.adaptive) for row in side.rows
        ]
        drawn += [row.prompt for record in (self.floor, self.everyday) if record for row in record.rows]
        drawn += [row.prompt for record in self.beside for row in record.rows]
        return frozenset(drawn) - {""}

    def judgements(self) -> Iterator[tuple[str, Judgements]]:
        """Every judgement there was, with what was looked at."""
        for sample, drawn in self.measured.pictures.items():
            for name, judgements in (("base", drawn.base), ("edited", drawn.after)):
                yield f"{name}, {sample.prompt!r}, seed {sample.seed}", judgements
        for degree, seen in self.at_degree.items():
            for sample, judgements in seen.items():
                yield f"degree {degree:.0%}, {sample.prompt!r}, seed {sample.seed}", judgements
        for after, weights in self.measured.after.items():
            for sample, judgements in weights.pictures.items():
                yield f"{told(after)}, {sample.prompt!r}, seed {sample.seed}", judgements
        for one in self.attacked:
            for side in (one.static, one.adaptive):
                for row in side.rows:
                    yield f"attack {one.attack}, {row.sample.prompt!r}, seed {row.sample.seed}", row.judged
                for row in side.rows:
                    if row.base_judged is not None:
                        where = f"{row.sample.prompt!r}, seed {row.sample.seed}"
                        yield f"attack {one.attack} on the base, {where}", row.base_judged
        for neutral in self.floor.rows if self.floor else ():
            yield f"floor, {neutral.prompt!r}, seed {neutral.seed}", neutral.after
        for tried in self.beside:
            for target in tried.rows:
                where = f"{target.prompt!r}, seed {target.seed}"
                yield f"{tried.how} on {tried.control}, {where}", target.after
        for shown in self.everyday.rows if self.everyday else ():
            for when, judgements in (("base", shown.base), ("after", shown.after)):
                yield f"everyday {when}, {shown.prompt!r}, seed {shown.seed}", judgements


def concept(evidence: Evidence, member: Member) -> ConceptFinding:
    """What came of one concept, erased or preserved."""
    plan, sought = evidence.plan, evidence.run.classes.get(member)
    pairs, probes = evidence.row(member), evidence.row(member, "probes")
    good, held = sound(pairs), sound(probes)
    notes = [] if sought else [evidence.run.unknown.get(member, "no judge looked")]
    lost = len(pairs) - len(good) + len(probes) - len(held)
    if lost:
        notes.append(f"{lost} pictures have an error and are not counted")
    subjects = [pair.after.subject for pair in good if pair.after.subject is not None]
    chances = [pair.after.chance for pair in good if pair.after.chance is not None]
    drifts = {key: value for key, value in evidence.measured.drifts.items() if key[0] == member}
    drift = drifts[max(drifts, key=lambda key: key[1])] if drifts else None
    counted = bool(sought and good)

    def told(shows: Sequence[bool]) -> Rate:
        return evidence.measured.rate(member, share(shows))

    return ConceptFinding(
        member=member,
        words=tuple(word for name in member for word in plan.concept(name).names),
        kind=kind_of(plan, member),
        role=roles(plan)[member],
        judge=" + ".join(dict.fromkeys(one.judge for one in sought)) if sought else None,
        judged_as=" + ".join(one.found.label for one in sought) if sought else None,
        base=told([pair.base.shows for pair in good]) if counted else None,
        after=told([pair.after.shows for pair in good]) if counted else None,
        paired=paired([p.base.shows for p in good], [p.after.shows for p in good]) if counted else None,
        probes=told([pair.after.shows for pair in held]) if sought and held else None,
        worst_probe=_worst_probe(evidence, member, held) if sought and held else None,
        worst_prompt=_worst_prompt(good) if counted and roles(plan)[member] == "erased" else None,
        instead=_instead(evidence, good, sought) if sought and len(sought) == 1 else (),
        subject=share(subjects) if subjects else None,
        probability=sum(chances) / len(chances) if sought and chances else None,
        drift=drift.mean if isinstance(drift, Spread) else None,
        drift_spread=drift if isinstance(drift, Spread) else None,
        note="; ".join(notes),
    )


def _worst_probe(evidence: Evidence, member: Member, pairs: Sequence[Pair]) -> tuple[str, Rate]:
    phrases = {prompt.text: prompt.phrase for prompt in probe_prompts(evidence.plan, member)}
    return _by((phrases[pair.sample.prompt], pair.after.shows) for pair in pairs)[0]


def _worst_prompt(pairs: Sequence[Pair]) -> tuple[str, Rate] | None:
    """None where there is but one prompt."""
    found = _by((pair.sample.prompt, pair.after.shows) for pair in pairs)
    return found[0] if len(found) > 1 else None


def _by(shows: Iterable[tuple[str, bool]]) -> list[tuple[str, Rate]]:
    """The rate of each text, by what is best shown to bring the concept."""
    groups: dict[str, list[bool]] = {}
    for text, one in shows:
        groups.setdefault(text, []).append(one)
    found = [(text, share(some)) for text, some in groups.items()]
    return sorted(found, key=lambda one: (one[1].low, one[1].share, one[1].n), reverse=True)


def _instead(evidence: Evidence, pairs: Sequence[Pair], sought: Sequence[Sought]) -> tuple[tuple[str, int], ...]:
    """What the judge sees most often where the concept was before and is not after; nothing protected by its name."""
    (one,) = sought
    told = Counter[str]()
    for pair in pairs:
        if pair.base.shows and not pair.after.shows:
            told.update(seen(evidence.plan, evidence.measured.pictures[pair.sample].after, one))
    return tuple(told.most_common(INSTEAD))


def seen(plan: Plan, judgements: Judgements, one: Sought) -> tuple[str, ...]:
    """What the judge that looked for `one` saw where that would stand; nothing protected by its name."""
    wall, labels = guard(plan), named(judgements[one.judge].labels[one.found.head]) or (NOTHING,)
    return tuple(label if wall is None or wall.of(label) is None else CLOSED for label in labels)


def harmonics(evidence: Evidence) -> Iterator[Harmonic]:
    """Of every erased concept that a judge knows, with the preserved ones."""
    kept = {
        member: sound(evidence.row(member))
        for member, role in roles(evidence.plan).items()
        if role == "preserved" and member in evidence.run.classes
    }
    others = {member: pairs for member, pairs in kept.items() if pairs}
    for member, role in roles(evidence.plan).items():
        pairs, probes = sound(evidence.row(member)), sound(evidence.row(member, "probes"))
        if role != "erased" or member not in evidence.run.classes or not pairs or not others:
            continue
        kind, spared = kind_of(evidence.plan, member), [harmonic.answers(some) for some in others.values()]
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


def attacks(evidence: Evidence) -> Iterator[AttackFinding]:
    """Of every attack on every concept, the one with the most samples."""
    main: dict[tuple[Member, str], AttackResult] = {}
    for one in evidence.attacked:
        held = main.get((one.member, one.attack))
        if held is None or one.samples > held.samples:
            main[one.member, one.attack] = one

    def told(member: Member, found: Rate | None) -> Rate | None:
        return None if found is None else evidence.measured.rate(member, found)

    for one in main.values():
        plain = sound(evidence.row(one.member))
        bad = [row.after.error for row in (*one.static.rows, *one.adaptive.rows) if row.after.error]
        error = one.adaptive.error or one.static.error or (f"{len(bad)} pictures: {bad[0]}" if bad else "")
        error = error or one.adaptive.inapplicable or one.static.inapplicable
        yield AttackFinding(
            member=one.member,
            attack=one.attack,
            access=evidence.run.attacks[one.attack],
            budget=dict(one.adaptive.budget or one.static.budget),
            plain=told(one.member, share([pair.after.shows for pair in plain]) if plain else None),
            static=told(one.member, one.static.rate),
            adaptive=told(one.member, one.adaptive.rate),
            base=told(one.member, one.adaptive.ceiling),
            prompts=one.adaptive.prompts,
            floor=evidence.floor.rate(evidence.run.classes[one.member]) if evidence.floor else None,
            forms=one.adaptive.forms if one.adaptive.by_form else (),
            worst=one.adaptive.worst,
            by_form=one.adaptive.by_form,
            price=one.adaptive.price,
            examples=one.adaptive.tried,
            held_out=one.attack not in evidence.plan.trained_against,
            error=error,
            seconds=one.static.seconds + one.adaptive.seconds,
        )


def degrees(evidence: Evidence) -> Iterator[DegreePoint]:
    """What is shown and kept from the base to the edit; nothing where no degree between them was drawn."""
    wanted = degree_samples(evidence.plan, evidence.every)
    if not evidence.at_degree:
        return
    for degree in (0.0, *DEGREES, 1.0):
        shown, kept = list[bool](), list[bool]()
        for sample, members in wanted.items():
            found, drawn = evidence.at(degree, sample), evidence.measured.pictures.get(sample)
            for member in members:
                sought = evidence.run.classes.get(member)
                if found is None or drawn is None or sought is None:
                    continue
                now, before = presence(found, sought), presence(drawn.base, sought)
                if now.error or before.error:
                    continue
                if roles(evidence.plan)[member] == "erased":
                    shown.append(now.shows)
                elif before.shows:
                    kept.append(now.shows)
        yield DegreePoint(degree=degree, shown=share(shown), kept=share(kept) if kept else None)


def quality(evidence: Evidence) -> Quality | None:
    """Over the preserved concepts' pictures: of erased ones a distance is what was asked for."""
    samples = [
        sample
        for member, role in roles(evidence.plan).items()
        if role == "preserved"
        for row in evidence.every
        if row.member == member and row.how == "names"
        for sample in samples_of(evidence.plan, row)
    ]
    samples = [sample for sample in dict.fromkeys(samples) if sample in evidence.measured.pictures]
    if not samples:
        return None
    notes = [
        "over the pictures of all preserved concepts, base against edited, which share their seeds: KID compares "
        "no two pictures of one seed, FID is smaller than between independent sets"
    ]
    values: dict[str, float | None] = {}
    for name, distance in (("fid", fid), ("kid", kid_paired)):
        found = between(distance, evidence.measured, samples)
        values[name] = found if isinstance(found, float) else None
        if isinstance(found, Failed):
            notes.append(f"{name.upper()}: {found.why}")
    clips = [clip for sample in samples if (clip := evidence.measured.pictures[sample].clip)]
    if not clips:
        notes.append("CLIP score: no judge gives it; add --judge clip=FOLDER")
    return Quality(
        **values,
        n=len(samples),
        extractor=evidence.measured.extractor,
        notes=tuple(notes),
        clip_base=sum(base for base, _ in clips) / len(clips) if clips else None,
        clip_after=sum(after for _, after in clips) / len(clips) if clips else None,
    )


def cards(evidence: Evidence) -> tuple[JudgeCard, ...]:
    """The judges: how often each was asked and failed, and how often it is known to be right about what was sought."""
    pictures, errors, again = dict[str, int](), dict[str, int](), dict[str, int]()
    for _, judgements in evidence.judgements():
        for name, judgement in judgements.items():
            pictures[name] = pictures.get(name, 0) + 1
            errors[name] = errors.get(name, 0) + bool(judgement.error)
            again[name] = again.get(name, 0) + judgement.again
    sought = labels(evidence.run.classes.values())
    return tuple(
        card.model_copy(
            update={
                "pictures": pictures.get(card.name, 0),
                "errors": errors.get(card.name, 0),
                "again": again.get(card.name, 0),
                "accuracy": tuple(
                    one for key, one in evidence.measured.accuracy.items() if key[0] == card.name and key in sought
                ),
            }
        )
        for card in evidence.run.cards
    )


def sound(pairs: Sequence[Pair]) -> list[Pair]:
    """Those without an error."""
    return [pair for pair in pairs if not pair.error]


def share(shows: Sequence[bool]) -> Rate:
    return rate(sum(shows), len(shows))
