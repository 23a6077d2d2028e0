"""From a plan to everything that has to be looked at: which pictures, under which seeds, cut into units of work.

A unit does not know how many machines share the work, so the pictures of one batch, and with them every last bit of
the results, do not depend on it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.artifact import EvidenceError
from tracelang.plan.prompts import edit_prompts, probe_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Assertion, Member, Plan
from tracelang.plan.types import Kind as ConceptKind
from tracelang.semantics.tables import DEFAULT_SEED, METRICS

SHOTS = 50
"""Pictures of each model in a unit."""
FIRST = 3
"""So many pictures of each row the report shows whatever is in them."""
LOOK = 4
"""Pictures of a concept that no judge knows, for the reader's own eyes."""
DEGREES = (0.25, 0.5, 0.75)
"""Between the base (0) and the edit (1), which are drawn anyway."""
DEGREE_SAMPLES = {"erased": 200, "preserved": 100}
"""At most so many pictures at a degree, spread over the concepts."""
DRIFT_PATHS = 32
"""At most so many trajectories of one unit, as far as one concept does not need more."""
DRIFTS = 4
"""Trajectories of a concept whose drift nobody asserts."""

How = Literal["names", "probes"]
Kind = Literal["shots", "degree", "attack", "drift", "noise", "certificate", "everyday"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture: the same prompt and seed for every model."""

    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """Pictures of one member: `samples` of them, spread evenly over the prompts of its names or of its probes."""

    member: Member
    how: How
    samples: int
    seed: int = DEFAULT_SEED


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work: done as a whole or not at all. `members` says of each sample what is looked for in it; `shown`
    are the shots that the report shows whatever is in them. `member` belongs to attacks, `group` to drifts, `samples`
    and `seed` to both.
    """

    key: str
    kind: Kind
    shots: tuple[Sample, ...] = ()
    members: tuple[tuple[Member, ...], ...] = ()
    shown: frozenset[Sample] = frozenset()
    member: Member = ()
    group: tuple[Member, ...] = ()
    attack: str = ""
    degree: float = 1.0
    samples: int = 0
    seed: int = DEFAULT_SEED


def drawable(plan: Plan, member: Member) -> bool:
    """May pictures of it be drawn at all? Never of a protected concept, not even beside others."""
    return all(plan.concept(name).kind != "protected" for name in member)


def kind_of(plan: Plan, member: Member) -> ConceptKind:
    """The kind to be most careful with, of several concepts."""
    kinds = [plan.concept(name).kind for name in member]
    return next((kind for kind in ("protected", "explicit") if kind in kinds), kinds[0])


def roles(plan: Plan) -> dict[Member, Literal["erased", "preserved"]]:
    """What the report tells of, erased before preserved: the statements' concepts, each once."""
    found: dict[Member, Literal["erased", "preserved"]] = {one.targets: "erased" for one in plan.erase}
    return found | {one.concepts: "preserved" for one in plan.preserve if one.concepts not in found}


def spread(prompts: Sequence[str], samples: int, base: int) -> tuple[Sample, ...]:
    """`samples` shots, the same number of each prompt as far as it goes, the rest at even distances."""
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
    prompts = (edit_prompts if row.how == "names" else probe_prompts)(plan, row.member)
    texts = [prompt.text for prompt in prompts]
    refuse(plan, texts, EvidenceError)
    return spread(texts, row.samples, row.seed) if prompts else ()


def rows_of(plan: Plan, one: Assertion) -> tuple[Row, ...]:
    """The rows that an assertion looks at; of an attack, those that its rate is told beside."""
    if not METRICS[one.metric].images:
        return ()
    names = tuple(Row(member, "names", one.samples, one.seed) for member in one.concepts)
    probes = tuple(Row(member, "probes", one.samples, one.seed) for member in one.concepts)
    if one.metric == "probed":
        return probes
    if one.metric == "harmonic":
        kept = [member for member, role in roles(plan).items() if role == "preserved"]
        return (*names, *probes, *(Row(member, "names", one.samples, one.seed) for member in kept))
    return names


def rows(plan: Plan, judged: Mapping[Member, object], samples: int) -> tuple[Row, ...]:
    """Every row, each once: what the recipe asserts; and of concepts that it asserts nothing of, `samples`."""
    found: dict[Row, None] = {}
    seeing = {"clip", "fid", "subject"}  # these need no judge that knows the concept
    for one in plan.expect:
        for row in rows_of(plan, one):
            few = row.member not in judged and one.metric not in seeing
            found[Row(row.member, row.how, min(row.samples, LOOK), row.seed) if few else row] = None
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


def attacks(plan: Plan, judged: Mapping[Member, object], known: Sequence[str], samples: int) -> tuple[Unit, ...]:
    """Every attack on every erased concept that may be drawn and that a judge knows."""
    found: dict[tuple[Member, str, int, int], None] = {}
    for one in plan.expect:
        if one.metric == "attack" and one.attack:
            found |= {(member, one.attack, one.samples, one.seed): None for member in one.concepts}
    asked = {(member, attack) for member, attack, _, _ in found}
    for erasure in plan.active:
        for attack in known:
            if (erasure.targets, attack) not in asked and samples:
                found[erasure.targets, attack, samples, DEFAULT_SEED] = None
    return tuple(
        Unit(f"attack-{i:04d}-{attack}", "attack", member=member, attack=attack, samples=n, seed=seed)
        for i, (member, attack, n, seed) in enumerate(found)
        if member in judged and attack in known and drawable(plan, member)
    )


def drifts(plan: Plan, samples: int) -> tuple[Unit, ...]:
    """The drift of every concept, protected ones too: predictions, no picture."""
    asked = {(m, one.samples, one.seed): None for one in plan.expect if one.metric == "drift" for m in one.concepts}
    known = {member for member, _, _ in asked}
    others = [member for member in roles(plan) if member not in known] if samples else []
    asked |= {(member, min(samples, DRIFTS), DEFAULT_SEED): None for member in others}
    alike: dict[tuple[int, int], list[Member]] = {}
    for member, n, seed in asked:
        alike.setdefault((n, seed), []).append(member)
    groups = [
        (group, n, seed) for (n, seed), members in alike.items() for group in _groups(members, max(1, DRIFT_PATHS // n))
    ]
    return tuple(
        Unit(f"drift-{i:04d}", "drift", group=group, samples=n, seed=seed) for i, (group, n, seed) in enumerate(groups)
    )


def _groups(members: Sequence[Member], most: int) -> Iterator[tuple[Member, ...]]:
    for begin in range(0, len(members), most):
        yield tuple(members[begin : begin + most])


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


def units(
    plan: Plan, judged: Mapping[Member, object], known: Sequence[str], samples: int, everyday: Sequence[Sample] = ()
) -> tuple[Unit, ...]:
    """All work, in a fixed order. No (prompt, seed) is drawn twice, whoever asks for it.

    Without `samples`, nothing but what the recipe expects, the certificate, which costs nothing, and the `everyday`
    panel, which is looked at whole.
    """
    every = rows(plan, judged, samples)
    wanted: dict[Sample, list[Member]] = {}
    shown: set[Sample] = set()
    for row in every:
        for i, sample in enumerate(samples_of(plan, row)):
            members = wanted.setdefault(sample, [])
            if row.member not in members:
                members.append(row.member)
            if i < FIRST:
                shown.add(sample)
    plain = {sample: tuple(members) for sample, members in wanted.items()}
    seen = {
        sample: members
        for sample, members in degree_samples(plan, every).items()
        if any(member in judged for member in members)
    }
    asked = [member for one in plan.expect for member in one.concepts]
    for member in dict.fromkeys((*roles(plan), *asked)):  # attacks and drifts sample them too
        if drawable(plan, member):
            refuse(plan, [prompt.text for prompt in edit_prompts(plan, member)], EvidenceError)
    found = [Unit("certificate", "certificate")] + ([Unit("noise", "noise")] if samples else [])
    found += cut("shots", plain, frozenset(shown))
    for degree in DEGREES if seen and samples else ():
        found += cut(f"degree-{degree:.0%}".replace("%", ""), seen, frozenset(), degree)
    refuse(plan, [sample.prompt for sample in everyday], EvidenceError)
    always = (Unit("everyday", "everyday", tuple(everyday)),) if everyday else ()
    return (*found, *attacks(plan, judged, known, samples), *drifts(plan, samples), *always)


def cut(
    name: str, wanted: Mapping[Sample, tuple[Member, ...]], shown: frozenset[Sample], degree: float = 1.0
) -> Iterator[Unit]:
    """Units of `SHOTS` pictures."""
    shots = tuple(wanted)
    for begin in range(0, len(shots), SHOTS):
        part = shots[begin : begin + SHOTS]
        yield Unit(
            f"{name}-{begin // SHOTS:04d}",
            "shots" if name == "shots" else "degree",
            part,
            tuple(wanted[sample] for sample in part),
            shown.intersection(part),
            degree=degree,
        )


def share(all_units: Sequence[Unit], shard: tuple[int, int] | None) -> tuple[Unit, ...]:
    """The units of shard `i` of `n`, counted from 1; all of them without a shard."""
    if shard is None:
        return tuple(all_units)
    i, n = shard
    return tuple(unit for k, unit in enumerate(all_units) if k % n == i - 1)
