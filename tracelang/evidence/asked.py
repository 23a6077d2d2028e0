"""Every prompt that an edit uses and that its verification would draw, from the plan alone. Torch-free: nothing is
encoded, nothing is drawn.

Verification's are those of `pictures`, `wordings` and `everyday`, which it draws from: all that it may, as if a judge
knew every concept. What attacks search for, and the things of the world of a judge that knows one, only a model tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tracelang.evidence.everyday import LEAST, NEUTRAL, plain
from tracelang.evidence.pictures import (
    SAMPLES,
    TRAJECTORIES,
    attacked,
    clean_samples,
    dealt,
    drawable,
    drifted,
    roles,
    rows,
    samples_of,
    sides,
    suite_row,
)
from tracelang.evidence.wordings import dealt as worded
from tracelang.evidence.wordings import wordings
from tracelang.plan.explain import prior
from tracelang.plan.prompts import anchor_prompts, edit_prompts
from tracelang.plan.protected import guard
from tracelang.plan.types import Member, Plan
from tracelang.semantics.tables import ATTACKS
from tracelang.text import joined

PARAPHRASE = "paraphrase"
EVERYDAY = "everyday pictures"
SUITED = "at most as many as the expectation has samples are drawn"
SEARCHED = "what they find is known only when they have run; nothing that speaks of a protected concept is drawn"


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompts of one concept for one purpose, each once. `concepts` is empty where they are of none. `withheld` is
    the number of those that nobody may read: of a protected concept, or speaking of one. `note` is what is said of
    prompts that the plan does not hold.
    """

    concepts: Member
    stage: str
    purpose: str
    prompts: tuple[str, ...] = ()
    withheld: int = 0
    note: str = ""

    @property
    def subject(self) -> str:
        return joined(self.concepts) if self.concepts else "of no concept"


def asked(plan: Plan, samples: int = SAMPLES) -> tuple[Asked, ...]:
    """Of the edit first, in the recipe's order; `samples` as `verify` takes it."""
    wall = guard(plan)
    found: dict[tuple[Member, str, str], tuple[list[str], list[str]]] = {}
    for member, stage, purpose, prompts, note in (*_edit(plan), *_verification(plan, samples)):
        texts, notes = found.setdefault((member, stage, purpose), ([], []))
        texts += prompts
        notes += [note] if note else []
    parts = []
    for (member, stage, purpose), (texts, notes) in found.items():
        every = list(dict.fromkeys(texts))
        may = [text for text in every if drawable(plan, member) and (wall is None or wall.of(text) is None)]
        parts.append(Asked(member, stage, purpose, tuple(may), len(every) - len(may), "; ".join(dict.fromkeys(notes))))
    return tuple(parts)


Part = tuple[Member, str, str, Iterable[str], str]


def _edit(plan: Plan) -> Iterator[Part]:
    for erasure in plan.active:
        yield erasure.targets, "edit", "erased", _texts(plan, erasure.targets), ""
        if erasure.anchor is not None:
            anchors = [prompt.text for prompt in anchor_prompts(plan, erasure.targets, erasure.anchor)]
            yield erasure.targets, "edit", f"anchor {joined(erasure.anchor)}", anchors, ""
    for entry in plan.preserve:
        yield entry.concepts, "edit", "preserved", _texts(plan, entry.concepts), ""
    for one in plan.prior:
        note = "" if one.prompts else f"{one.sample:,} words of the text encoder's own vocabulary, known with the model"
        yield (), "edit", prior(one), one.prompts, note


def _verification(plan: Plan, samples: int) -> Iterator[Part]:
    every = {member: None for member in roles(plan)} | {member: None for one in plan.expect for member in one.concepts}
    for row in rows(plan, every, samples):
        if row.how != "suite":
            texts = [one.prompt for one in samples_of(plan, row)]
            yield row.member, "verify", f"pictures of its {row.how}", texts, ""
    for one in plan.expect:
        for concept in one.concepts if one.suite else ():
            told = f"pictures {one.on}"
            yield concept, "verify", told, [row.prompt for row in suite_row(one, concept).given], SUITED
    searching: dict[Member, list[str]] = {}
    for member, attack, count, seed in attacked(plan, ATTACKS, samples):
        clean = [sample.prompt for sample in clean_samples(plan, member)]
        yield member, "verify", "pictures that its attackers have", clean, ""
        if attack == PARAPHRASE:
            yield member, "verify", "pictures of the attack paraphrase", _paraphrases(plan, member, count, seed), ""
        else:
            searching.setdefault(member, []).append(attack)
    for member, attacks in searching.items():
        names = ", ".join(dict.fromkeys(attacks))
        yield member, "verify", "pictures of other attacks", (), f"{names}: {SEARCHED}"
    for member, count, _ in drifted(plan, samples):
        yield member, "verify", "predictions, no picture", [text for _, text, _ in dealt(plan, [member], count)], ""
    for members in sides(plan):
        for member, text, _ in dealt(plan, members, TRAJECTORIES) if members and samples else ():
            yield member, "verify", "predictions, no picture", [text], ""
    left = plain(plan)
    world = "an embedded model's judge asks for things of its own world instead"
    yield (), "verify", "the floor of attacks, beside the everyday ones", NEUTRAL if samples and plan.active else (), ""
    yield (), "verify", EVERYDAY, left if len(left) >= LEAST else (), world


def _paraphrases(plan: Plan, member: Member, count: int, seed: int) -> list[str]:
    wall = guard(plan)
    every = {form: list(dict.fromkeys(listed)) for form, listed in wordings(plan, member).items()}
    may = {form: [one for one in listed if wall is None or wall.of(one) is None] for form, listed in every.items()}
    return [prompt for _, prompt in worded({form: listed for form, listed in may.items() if listed}, count, seed)]


def _texts(plan: Plan, member: Member) -> list[str]:
    return [prompt.text for prompt in edit_prompts(plan, member)]
