"""What was measured, as expectations and the report look at it: read from the records of all units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracelang.evidence.bench import Failed, Judgements, Presence, presence
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Row, Sample, samples_of
from tracelang.evidence.schema import Certificate
from tracelang.evidence.units.attack import AttackSide
from tracelang.evidence.units.shots import Features
from tracelang.plan.types import Member, Plan


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sample through both models: every judge's judgement, CLIP scores where a judge gives them, files where kept;
    and the unit of work that drew it.
    """

    base: Judgements
    after: Judgements
    clip: tuple[float, float] | None = None
    files: tuple[str, str] | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture before and after, as one member is concerned."""

    sample: Sample
    base: Presence
    after: Presence
    clip: tuple[float, float] | None = None
    files: tuple[str, str] | None = None

    @property
    def error(self) -> str:
        return self.base.error or self.after.error


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was looked at. `attacks` is by member, attack, samples and seed, the adaptive side; `features`,
    where a judge gives any, are those before and after, by the `extractor`.
    """

    plan: Plan
    classes: Mapping[Member, tuple[Sought, ...]]
    unknown: Mapping[Member, str]
    pictures: Mapping[Sample, Drawn]
    attacks: Mapping[tuple[Member, str, int, int], AttackSide] = field(default_factory=dict)
    drifts: Mapping[tuple[Member, int, int], float | Failed] = field(default_factory=dict)
    certificate: Certificate | Failed | None = None
    features: Mapping[Sample, tuple[Features, Features]] = field(default_factory=dict)
    extractor: str = ""

    def pairs(self, row: Row) -> list[Pair]:
        """The row's pictures; those that were not drawn carry an error."""
        sought = self.classes.get(row.member, ())
        found = []
        for sample in samples_of(self.plan, row):
            drawn = self.pictures.get(sample)
            if drawn is None:
                lost = Presence(False, error="the picture was not drawn")
                found.append(Pair(sample, lost, lost))
            else:
                base, after = presence(drawn.base, sought), presence(drawn.after, sought)
                found.append(Pair(sample, base, after, drawn.clip, drawn.files))
        return found
