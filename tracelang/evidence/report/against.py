"""Two verifications side by side: which of their figures can be told from each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.bench import Wanted
from tracelang.evidence.panel import digest
from tracelang.evidence.pictures import How, main_row, roles, rows, samples_of
from tracelang.evidence.schema import Comparison, Difference, JudgeCard, Rate, Report
from tracelang.evidence.units.attack import AttackUnit
from tracelang.evidence.verdicts import distinguishable
from tracelang.evidence.work import Run
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Member, Plan
from tracelang.text import joined

Figure = tuple[Member, str]


def earlier(out: Path, run: Run) -> Report:
    """The report that stands in another OUT, to be set beside `run`'s.

    Raises EvidenceError where there is none, or where other judges, another sampler or another base made its figures.
    """
    file = out / "report" / "report.json"
    try:
        report = Report.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise EvidenceError(f"{out}: has no report; run: tracec verify {out}") from error
    except ValidationError as error:
        raise EvidenceError(f"{file}: cannot be read as a report; verify {out} again") from error
    if {digest(one) for one in report.judges} != {digest(one) for one in run.cards}:
        other = _other(report.judges, run.cards)
        again = f"verify {out} again with the same --judge"
        raise EvidenceError(f"{file}: other judges made its figures ({other}); {again}")
    if report.provenance.base_fingerprint != run.facts["base"]:
        raise EvidenceError(f"{file}: is of an edit of another base model ({report.provenance.base}); nothing compares")
    here, there = run.facts["sampler"], report.provenance.sampler
    if there != here:
        other = ", ".join(
            f"{key} {there.get(key, 'none')} where here it is {here.get(key, 'none')}"
            for key in {**here, **there}
            if there.get(key) != here.get(key)
        )
        raise EvidenceError(f"{file}: another sampler made its pictures ({other}); verify {out} again with this one's")
    return report


def compare(here: Report, there: Report) -> Comparison:
    """Every rate that both have and that answers the same question, in this report's order; the others by name."""
    others = dict(_rates(there))
    both = [(figure, rate, others[figure]) for figure, rate in _rates(here) if figure in others]
    one, other = here.provenance.asked, there.provenance.asked
    alike = {figure for figure, _, _ in both if one.get(_key(*figure)) == other.get(_key(*figure))}
    return Comparison(
        title=there.title,
        plan=there.provenance.plan,
        edited_fingerprint=there.provenance.edited_fingerprint,
        differences=tuple(
            Difference(member=figure[0], what=figure[1], here=rate, there=theirs, apart=distinguishable(rate, theirs))
            for figure, rate, theirs in both
            if figure in alike
        ),
        incomparable=tuple(
            f"{_key(*figure)}: of other prompts, samples or seeds" for figure, _, _ in both if figure not in alike
        ),
    )


def asked(plan: Plan, run: Run) -> dict[str, str]:
    """sha256 of what was asked for each rate, by the rate's name: prompts, seeds and class; of an attack its budget."""
    found = {}
    every = rows(plan, run.classes, run.facts["samples"])
    hows: tuple[tuple[How, str], ...] = (("names", "by name"), ("probes", "suggested"))
    for member, role in roles(plan).items():
        for how, what in hows:
            if (row := main_row(plan, every, member, how)) is not None:
                shots = [[sample.prompt, sample.seed] for sample in samples_of(plan, row)]
                found[_key(member, f"{role}, {what}")] = _digest(shots, _sought(run, member))
    made = AttackUnit.wanted(Wanted(plan, run.classes, tuple(run.attacks), run.facts["samples"], {}))
    for unit in sorted(made, key=lambda unit: -unit.samples):  # the first of those with the most samples is reported
        prompts = [prompt.text for prompt in edit_prompts(plan, unit.member)]
        spent = [unit.samples, unit.seed, run.facts["budget"]]
        found.setdefault(_key(unit.member, f"under {unit.attack}"), _digest(prompts, spent, _sought(run, unit.member)))
    return found


def _sought(run: Run, member: Member) -> list[list[str]]:
    return [[one.judge, one.found.head, one.found.label] for one in run.classes.get(member, ())]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _key(member: Member, what: str) -> str:
    return f"{joined(member)}, {what}"


def _other(there: tuple[JudgeCard, ...], here: tuple[JudgeCard, ...]) -> str:
    """In what the judges differ."""
    cards = {card.name: card for card in there}
    lines = [f"{card.name} is not among them" for card in here if card.name not in cards]
    lines += [f"{card.name} is not asked here" for card in there if card.name not in {one.name for one in here}]
    for card in here:
        known = cards.get(card.name, card).model_dump(exclude={"pictures", "errors", "accuracy"})
        lines += [
            f"{card.name}: {name} {str(known[name])[:80] or 'none'} where here it is {str(value)[:80] or 'none'}"
            for name, value in card.model_dump(exclude={"pictures", "errors", "accuracy"}).items()
            if known[name] != value
        ]
    return "; ".join(lines)


def _rates(report: Report) -> Iterator[tuple[Figure, Rate]]:
    for one in report.concepts:
        for what, rate in ((f"{one.role}, by name", one.after), (f"{one.role}, suggested", one.probes)):
            if rate and rate.n:
                yield (one.member, what), rate
    for found in report.attacks:
        if found.adaptive and found.adaptive.n:
            yield (found.member, f"under {found.attack}"), found.adaptive
