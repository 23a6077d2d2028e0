"""From a plan to the pictures that have to be looked at: which, and under which seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.artifact import EvidenceError
from tracelang.plan.prompts import edit_prompts, probe_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Assertion, Kind, Member, Plan
from tracelang.semantics.tables import DEFAULT_SEED, METRICS

LOOK = 4
"""Pictures of a concept that no judge knows, for the reader's own eyes."""
DEGREE_SAMPLES = {"erased": 200, "preserved": 100}
"""At most so many pictures at a degree, spread over the concepts."""

How = Literal["names", "probes"]


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
    prompts = (edit_prompts if row.how == "names" else probe_prompts)(plan, row.member)
    texts = [prompt.text for prompt in prompts]
    refuse(plan, texts, EvidenceError)
    return spread(texts, row.samples, row.seed) if prompts else ()


def rows_of(plan: Plan, one: Assertion) -> tuple[Row, ...]:
    """The rows that an assertion looks at; of an attack, those that its rate is told beside."""
    metric = METRICS[one.metric]
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
