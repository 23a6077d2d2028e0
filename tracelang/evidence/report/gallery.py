"""What a reader is shown of the pictures, and what is left to be drawn again: the worst cases before all others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

from tracelang.evidence.bench import Judgements, Presence
from tracelang.evidence.judges import Class
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample, kind_of, roles
from tracelang.evidence.report.figures import Evidence, seen
from tracelang.evidence.report.suites import WITHHELD
from tracelang.evidence.schema import Hit, Picture
from tracelang.evidence.units.everyday import EverydayRow
from tracelang.plan.types import Member, Plan
from tracelang.semantics.tables import ATTACKS

PICTURES = 120
"""Pairs of pictures the report names."""
FOREMOST = 24
"""Of attacks' hits so many stand before the pictures of plain prompts, so that a reader sees those too."""
SENSITIVE = {"explicit", "protected"}

EVERYDAY = 6
"""Pairs of the everyday panel: what was lost first."""

What = Literal["residual hit", "damaged", "erased", "kept"]
ATTACKED, LATE = 2, 4
GROUPS: dict[What, int] = {"residual hit": 0, "damaged": 1, "erased": 3, "kept": 3}
"""Where pictures of plain prompts stand, around attacks' hits and those of them that come late."""


class Rank(NamedTuple):
    """A picture's place: lower first, field by field."""

    group: int
    turn: int
    weight: float
    prompt: str
    seed: int


class Ranked(NamedTuple):
    rank: Rank
    picture: Picture


def pictures(evidence: Evidence) -> list[Picture]:
    """What plain prompts still show, what was damaged, the surest hits of each attack in turn, then the pictures of
    every row in turn, then the attacks' other hits.
    """
    attacked = sorted(_attacked(evidence), key=lambda one: one.rank)
    late = [Ranked(rank._replace(group=LATE), picture) for rank, picture in attacked[FOREMOST:]]
    ranked = sorted([*_plain(evidence), *_everyday(evidence), *attacked[:FOREMOST], *late], key=lambda one: one.rank)
    return [picture.model_copy(update={"order": i}) for i, (_, picture) in enumerate(ranked[:PICTURES])]


def _plain(evidence: Evidence) -> Iterator[Ranked]:
    shown: set[tuple[Member, Sample]] = set()
    for number, row in enumerate(evidence.every):
        erased = roles(evidence.plan).get(row.member) == "erased"
        turn = count()
        for pair in evidence.measured.pairs(row):
            if pair.files is None or (row.member, pair.sample) in shown:
                continue
            shown.add((row.member, pair.sample))
            what: What = "erased" if erased else "kept"
            if not pair.error and row.member in evidence.run.classes:
                if erased and pair.after.shows:
                    what = "residual hit"
                elif not erased and pair.base.shows and not pair.after.shows:
                    what = "damaged"
            first = what in ("residual hit", "damaged")
            place = (0, -(pair.after.chance or 0.0)) if first else (next(turn), float(number))
            rank = Rank(GROUPS[what], *place, pair.sample.prompt, pair.sample.seed)
            picture = _picture(evidence, row.member, pair.sample, pair.files, what)
            if what == "damaged":
                drawn = evidence.measured.pictures[pair.sample]
                told = _seen(evidence.plan, drawn.base, drawn.after, evidence.run.classes[row.member])
                picture = picture.model_copy(update={"seen": told})
            kept = picture.model_copy(update={"prompt": WITHHELD}) if row.how == "suite" else picture
            yield Ranked(rank, kept)


def _everyday(evidence: Evidence) -> Iterator[Ranked]:
    """What the recipe did not choose; blurred where it erases or protects what is, for nobody knows what they show."""
    rows = evidence.everyday.rows if evidence.everyday else ()
    careful = any(concept.kind in SENSITIVE for concept in evidence.plan.concepts)
    lost = [
        row
        for row in rows
        if not (found := row.pair).error
        and found.whole[0]
        and (not found.whole[1] or (found.right[0] and not found.right[1] if found.right else not found.like))
    ]
    chosen = [*lost, *(row for row in rows if row not in lost)][:EVERYDAY]
    for turn, row in enumerate(chosen):
        what: What = "damaged" if row in lost else "kept"
        picture = _picture(evidence, evidence.plan.erase[0].targets, row.sample, row.files, what)
        told = _everyday_seen(evidence.plan, row) if what == "damaged" else None
        named = picture.model_copy(update={"member": ("everyday",), "sensitive": careful, "seen": told})
        yield Ranked(Rank(GROUPS[what], turn, 0.0, row.prompt, row.seed), named)


def _seen(plan: Plan, base: Judgements, after: Judgements, sought: Sequence[Sought]) -> tuple[str, str]:
    """What the judges said where they were to look for a concept, before and after."""
    before, now = (
        " + ".join(dict.fromkeys(label for one in sought for label in seen(plan, judgements, one)))
        for judgements in (base, after)
    )
    return before, now


def _everyday_seen(plan: Plan, row: EverydayRow) -> tuple[str, str]:
    """The same of a picture of the panel, by whatever said that it was lost."""
    if not row.pair.whole[1]:
        return "a picture", "none any more"
    if row.sought:
        sought = [Sought(judge, Class(head, label)) for judge, head, label in row.sought]
        return _seen(plan, row.base, row.after, sought)
    if row.match is not None:
        return "fits its prompt best", "fits another prompt better"
    if row.pair.right is not None:
        return "some thing", "nothing"
    return "its own", "more like another prompt’s picture"


def _attacked(evidence: Evidence) -> Iterator[Ranked]:
    for one in evidence.attacked:
        own = [(row.files, row) for row in one.adaptive.rows if row.files is not None]
        own.sort(key=lambda item: -(item[1].after.chance or 0.0))
        for turn, (files, row) in enumerate(own):
            rank = Rank(ATTACKED, turn, -(row.after.chance or 0.0), row.sample.prompt, row.sample.seed)
            yield Ranked(rank, _picture(evidence, one.member, row.sample, files, "residual hit", one.attack))


def _picture(
    evidence: Evidence, member: Member, sample: Sample, files: tuple[str, str], what: What, attack: str = ""
) -> Picture:
    home, soft = f"work/{evidence.run.folder}", attack in ATTACKS and ATTACKS[attack][0] == "soft states"
    return Picture(
        member=member,
        prompt=sample.prompt or ("(text states, no prompt)" if soft else "(no prompt)"),
        seed=sample.seed,
        base=f"{home}/{files[0]}",
        after=f"{home}/{files[1]}",
        what=what,
        attack=attack,
        soft=soft,
        sensitive=kind_of(evidence.plan, member) in SENSITIVE,
        order=0,
    )


def hits(evidence: Evidence, out: Path, drawn_from_folder: bool) -> list[Hit]:
    """Every picture of the edited model in which a judge still finds what was erased."""
    where = str(out.absolute())  # the command is to work wherever it is called from
    facts = evidence.run.facts
    settings = ["--steps", str(facts["sampler"]["steps"]), "--device", facts["device"], "--dtype", facts["dtype"]]
    hit: dict[tuple[Member, str, Sample], Hit] = {}

    def add(member: Member, how: str, sample: Sample, seen: Presence, unit: str, soft: bool) -> None:
        sought = evidence.run.classes[member]
        words = ["tracec", "sample", where, "--prompt", sample.prompt, "--seed", str(sample.seed), "--count", "1"]
        hit[member, how, sample] = Hit(
            member=member,
            how=how,
            prompt=WITHHELD if how == "suite" else sample.prompt,
            seed=sample.seed,
            judge=" + ".join(dict.fromkeys(one.judge for one in sought)),
            label=" + ".join(one.found.label for one in sought),
            score=seen.chance,
            unit=f"{evidence.run.folder}/{unit}",
            reproduce=shlex.join([*words, *settings]) if drawn_from_folder and not soft else "",
        )

    drawn = evidence.measured.pictures
    for row in evidence.every:
        if roles(evidence.plan).get(row.member) == "erased" and row.member in evidence.run.classes:
            for pair in evidence.measured.pairs(row):
                if pair.after.shows and not pair.error:
                    add(row.member, row.how, pair.sample, pair.after, drawn[pair.sample].unit, row.how == "suite")
    for one in evidence.attacked:
        for name, side in (("static", one.static), ("adaptive", one.adaptive)):
            for shown in side.rows:
                if shown.after.shows and not shown.after.error:
                    add(one.member, f"attack {one.attack}, {name}", shown.sample, shown.after, one.unit, side.soft)
    return list(hit.values())
