"""From a plan to the pictures and trajectories that a verification needs: which, and under which seeds. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.errors import EvidenceError
from tracelang.plan.prompts import edit_prompts, probe_prompts
from tracelang.plan.protected import guard, refuse
from tracelang.plan.types import Assertion, Kind, Member, Plan, SuiteRow
from tracelang.semantics.tables import ATTACKS, BY_ITSELF, DEFAULT_SEED, METRICS
from tracelang.text import joined

SAMPLES = 50
"""Pictures of each concept and attack of which the recipe expects nothing."""
CLEAN = 16
"""Clean pictures of a concept that an attacker has."""
TARGETS = 20
"""Pictures of an attack that samples by itself, where the recipe does not ask for a number."""
DRIFTS = 4
"""Trajectories of a concept whose drift nobody asserts."""
TRAJECTORIES = 4
"""Trajectories of each side at every noise level."""
LOOK = 4
"""Pictures of a concept that no judge knows, for the reader's own eyes."""
DEGREE_SAMPLES = {"erased": 200, "preserved": 100}
"""At most so many pictures at a degree, spread over the concepts."""

How = Literal["names", "probes", "suite"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture: the same prompt and seed for every model."""

    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """Pictures of one member: `samples` of them, spread evenly over the prompts of its names or of its probes; or over
    the rows of a suite, each drawn once at most.
    """

    member: Member
    how: How
    samples: int
    seed: int = DEFAULT_SEED
    given: tuple[SuiteRow, ...] = ()


def drawable(plan: Plan, member: Member) -> bool:
    """May pictures of it be drawn at all? Never of a protected concept, not even beside others."""
    return all(plan.concept(name).kind != "protected" for name in member)


def kind_of(plan: Plan, member: Member) -> Kind:
    """The kind to be most careful with, of several concepts."""
    kinds = [plan.concept(name).kind for name in member]
    return next((kind for kind in ("protected", "explicit") if kind in kinds), kinds[0])


def roles(plan: Plan) -> dict[Member, Literal["erased", "preserved"]]:
    """What the report tells of, erased before preserved: the statements' concepts, each once."""
    found: dict[Member, Literal["erased", "preserved"]] = {one.targets: "erased" for one in plan.erase}
    return found | {one.concepts: "preserved" for one in plan.preserve if one.concepts not in found}


def spread(prompts: Sequence[str], samples: int, base: int) -> tuple[Sample, ...]:
    """`samples` of them, the same number of each prompt as far as it goes, the rest at even distances."""
    unique = list(dict.fromkeys(prompts))
    rounds, rest = divmod(samples, len(unique))
    last = [unique[i * len(unique) // rest] for i in range(rest)]
    wanted = [(prompt, i) for i in range(rounds) for prompt in unique] + [(prompt, rounds) for prompt in last]
    return tuple(Sample(prompt, seed_of("verify", prompt, i, base)) for prompt, i in wanted)


def samples_of(plan: Plan, row: Row) -> tuple[Sample, ...]:
    """The row's pictures in order; none where the member has no such prompts or may not be drawn.

    Raises EvidenceError where a prompt of another concept speaks of a protected one.
    """
    if not drawable(plan, row.member):
        return ()
    if row.how == "suite":
        return suited(plan, row)
    prompts = (edit_prompts if row.how == "names" else probe_prompts)(plan, row.member)
    texts = [prompt.text for prompt in prompts]
    refuse(plan, texts, EvidenceError)
    return spread(texts, row.samples, row.seed) if prompts else ()


def suited(plan: Plan, row: Row) -> tuple[Sample, ...]:
    """A suite's rows as pictures: its own seeds, where it has them. What speaks of something protected is withheld."""
    wall = guard(plan)
    may = [one for one in row.given if wall is None or wall.of(one.prompt) is None]
    count = min(row.samples, len(may))
    chosen = [may[i * len(may) // count] for i in range(count)]
    return tuple(
        dict.fromkeys(
            Sample(one.prompt, seed_of("suite", one.prompt, 0, row.seed) if one.seed is None else one.seed)
            for one in chosen
        )
    )


def suite_row(one: Assertion, member: Member) -> Row:
    """The row of an assertion about a suite's prompts."""
    assert one.suite is not None
    return Row(member, "suite", one.samples, one.seed, one.suite.of(member[0]))


def rows_of(plan: Plan, one: Assertion) -> tuple[Row, ...]:
    """The rows that an assertion looks at; of an attack, those that its rate is told beside."""
    metric = METRICS[one.metric]
    if one.suite is not None:
        return tuple(suite_row(one, member) for member in one.concepts)
    kept = tuple(member for member, role in roles(plan).items() if role == "preserved")
    looked: dict[str, tuple[tuple[Member, ...], How]] = {
        "names": (one.concepts, "names"),
        "probes": (one.concepts, "probes"),
        "kept": (kept, "names"),
    }
    return tuple(
        Row(member, how, one.samples, one.seed)
        for members, how in (looked[name] for name in (metric.rows if metric.images else ()))
        for member in members
    )


def rows(plan: Plan, judged: Mapping[Member, object], samples: int) -> tuple[Row, ...]:
    """Every row, each once: what the recipe asserts; and of concepts that it asserts nothing of, `samples`."""
    found: dict[Row, None] = {}
    for one in plan.expect:
        for row in rows_of(plan, one):
            few = row.member not in judged and METRICS[one.metric].judged
            found[replace(row, samples=min(row.samples, LOOK)) if few else row] = None
    asked = {(row.member, row.how) for row in found}
    for member, role in roles(plan).items():
        for how in ("names", "probes") if role == "erased" else ("names",):
            if (member, how) not in asked and samples:
                found[Row(member, how, samples if member in judged else min(samples, LOOK))] = None
    return tuple(row for row in found if samples_of(plan, row))


def main_row(plan: Plan, every: Sequence[Row], member: Member, how: How) -> Row | None:
    """The row that stands for a member in the report's tables: the one with the most pictures."""
    own = [row for row in every if row.member == member and row.how == how]
    return max(own, key=lambda row: row.samples, default=None)


def degree_samples(plan: Plan, every: Sequence[Row]) -> dict[Sample, tuple[Member, ...]]:
    """The pictures that are drawn at each degree: the first of every concept's names, equally many of each."""
    found: dict[Sample, list[Member]] = {}
    for role, most in DEGREE_SAMPLES.items():
        own = [
            row
            for member, is_ in roles(plan).items()
            if is_ == role
            if (row := main_row(plan, every, member, "names")) is not None
        ]
        for row in own[:most]:
            for sample in samples_of(plan, row)[: max(1, most // len(own))]:
                found.setdefault(sample, []).append(row.member)
    return {sample: tuple(members) for sample, members in found.items()}


def clean_samples(plan: Plan, member: Member) -> tuple[Sample, ...]:
    """The pictures of a concept that its attackers have, from seeds that no picture of the report has.

    Raises EvidenceError where one would show, or its prompt speaks of, something protected.
    """
    if not drawable(plan, member):
        raise EvidenceError(f"{joined(member)} is protected: no picture of it is ever drawn")
    prompts = [prompt.text for prompt in edit_prompts(plan, member)]
    refuse(plan, prompts, EvidenceError)
    asked = [sample.prompt for sample in spread(prompts, CLEAN, 0)]
    return tuple(Sample(prompt, seed_of("quarry", prompt, i, 0)) for i, prompt in enumerate(asked))


def attacked(plan: Plan, attacks: Iterable[str], samples: int) -> tuple[tuple[Member, str, int, int], ...]:
    """Member, attack, samples and seed of every attack: those that the recipe asserts something of, and with `samples`
    all others on what it erases, those that sample by themselves on `TARGETS` at most. Never of what may not be drawn.
    """
    found: dict[tuple[Member, str, int, int], None] = {}
    for one in plan.expect:
        if one.attack and one.after is None:
            found |= {(member, one.attack, one.samples, one.seed): None for member in one.concepts}
    asked = {(member, attack) for member, attack, _, _ in found}
    known = tuple(attacks)
    for erasure in plan.active:
        for attack in known:
            if (erasure.targets, attack) not in asked and samples:
                alone = attack in ATTACKS and ATTACKS[attack][0] in BY_ITSELF
                found[erasure.targets, attack, min(samples, TARGETS) if alone else samples, DEFAULT_SEED] = None
    return tuple(one for one in found if one[1] in known and drawable(plan, one[0]))


def drifted(plan: Plan, samples: int, most: int = DRIFTS) -> tuple[tuple[Member, int, int], ...]:
    """Member, trajectories and seed of every drift: those asserted, and with `samples` those of all other
    concepts, of at most so many trajectories. Never of what is protected: no denoiser is given its words.
    """
    asserted = [one for one in plan.expect if one.metric == "drift"]
    asked = {(member, one.samples, one.seed): None for one in asserted for member in one.concepts}
    known = {member for member, _, _ in asked}
    others = [member for member in roles(plan) if member not in known] if samples else []
    asked |= {(member, min(samples, most), DEFAULT_SEED): None for member in others}
    return tuple(one for one in asked if drawable(plan, one[0]))


def sides(plan: Plan) -> tuple[list[Member], list[Member]]:
    """What is erased and what is preserved, as far as it may be asked for."""
    erased, kept = [one.targets for one in plan.active], [one.concepts for one in plan.preserve]
    return [one for one in erased if drawable(plan, one)], [one for one in kept if drawable(plan, one)]


def dealt(plan: Plan, members: Sequence[Member], n: int) -> tuple[tuple[Member, str, int], ...]:
    """Member, prompt and visit of `n` trajectories, dealt in turn over the members, inside each over its prompts."""
    prompts = [[prompt.text for prompt in edit_prompts(plan, member)] for member in members]
    found = []
    for i in range(n):
        which, visit = i % len(members), i // len(members)
        found.append((members[which], prompts[which][visit % len(prompts[which])], visit))
    return tuple(found)
