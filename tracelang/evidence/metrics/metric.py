"""What a metric is given, everything that was measured, and what its file gives: a figure of one member at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal

from tracelang.evidence.accuracy import correct
from tracelang.evidence.bench import Failed, Judgements, Presence, presence
from tracelang.evidence.intervals import clustered
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Row, Sample, samples_of
from tracelang.evidence.schema import Accuracy, Certificate, Measure, Rate, Relearning, Spread
from tracelang.evidence.units.attack import AttackSide
from tracelang.evidence.units.control import ControlSide, Probe
from tracelang.evidence.units.shots import Features
from tracelang.evidence.verdicts import decide, rate
from tracelang.plan.types import After, Assertion, Member, Plan


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
class Changed:
    """What was drawn of weights that were changed after the edit, and by which units; attacks as in `Measured`."""

    pictures: Mapping[Sample, Judgements] = field(default_factory=dict)
    units: Mapping[Sample, str] = field(default_factory=dict)
    attacks: Mapping[tuple[Member, str, int, int], AttackSide] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was looked at. `attacks` is by member, attack, samples and seed, the adaptive side; `unedited` is
    what the same attack brings that is made against the base model and drawn with it; `controls` is by probe and
    control. `features`, where a judge gives any, are those before and after, by the `extractor`.
    """

    plan: Plan
    classes: Mapping[Member, tuple[Sought, ...]]
    unknown: Mapping[Member, str]
    pictures: Mapping[Sample, Drawn]
    attacks: Mapping[tuple[Member, str, int, int], AttackSide] = field(default_factory=dict)
    unedited: Mapping[tuple[Member, str, int, int], tuple[Presence, ...]] = field(default_factory=dict)
    controls: Mapping[Probe, Mapping[str, ControlSide]] = field(default_factory=dict)
    drifts: Mapping[tuple[Member, int, int], Spread | Failed] = field(default_factory=dict)
    certificate: Certificate | Failed | None = None
    features: Mapping[Sample, tuple[Features, Features]] = field(default_factory=dict)
    extractor: str = ""
    accuracy: Mapping[tuple[str, str], Accuracy] = field(default_factory=dict)
    """How often each judge is right, by its name and the class's label, where that is known."""
    relearning: tuple[Relearning, ...] = ()
    after: Mapping[After, Changed] = field(default_factory=dict)

    def changed(self, after: After) -> Measured:
        """The same of weights that were changed after the edit: what was not drawn of them carries an error."""
        found = self.after.get(after, Changed())
        pictures = {
            sample: replace(self.pictures[sample], after=judgements, files=None, unit=found.units[sample])
            for sample, judgements in found.pictures.items()
            if sample in self.pictures
        }
        return replace(self, pictures=pictures, attacks=found.attacks)

    def known(self, member: Member) -> Accuracy | None:
        """How often the judge of a member is right about it. None of several concepts in one picture, too: of two that
        have to be right together nobody measured how often they are.
        """
        sought = self.classes.get(member, ())
        if len(sought) != 1:
            return None
        (one,) = sought
        labels = (one.found.label, f"{one.found.head}: {one.found.label}")
        return next((found for label in labels if (found := self.accuracy.get((one.judge, label)))), None)

    def rate(self, member: Member, found: Rate) -> Rate:
        """A rate of pictures that show the member, corrected where its judge is known."""
        return correct(found, self.known(member))

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


TOO = "the base model meets the bound too, so this says nothing of the edit"
MAY = "the base model may meet the bound too, so this says nothing of the edit"
UNREAD = "measured, but it says nothing of the edit"


@dataclass(frozen=True, slots=True)
class Counted:
    """Pictures of one member that count, hit or miss; with a `reason`, nothing could be counted."""

    hits: tuple[bool, ...] = ()
    base: tuple[bool, ...] | None = None
    reason: str = ""
    plain: Rate | None = None
    changes: tuple[tuple[bool, bool], ...] | None = None
    groups: tuple[Hashable, ...] | None = None
    """Of each hit or miss what it shares with others, its prompt; None: nothing, all are independent."""

    @property
    def rate(self) -> Rate:
        return clustered(self.hits, self.groups) if self.groups else rate(sum(self.hits), len(self.hits))


@dataclass(frozen=True, slots=True)
class Share:
    """A metric that is a share of pictures, whose members' pictures decide together: what counts of one member, what is
    said where nothing does, and what is told beside the figure. `looked`: of what pictures the share is that show a
    class, which decides how it is corrected for its judge; empty where it is no such share.
    """

    count: Callable[[Assertion, Measured, Member], Counted]
    nothing: str = "no pictures"
    beside: Callable[[Sequence[Measure]], str] = lambda measures: ""
    looked: Literal["", "all", "shown before"] = ""


Figure = Callable[[Assertion, Measured, Member], Measure]
"""A metric with a figure of its own, which each member decides for itself."""


def valued(
    one: Assertion, member: Member, value: float, interval: tuple[float, float] | None = None, note: str = ""
) -> Measure:
    low, high = interval or (value, value)
    if not (isfinite(value) and isfinite(low) and isfinite(high)):
        return open_(member, f"the figure is no number ({value})")
    verdict = decide(low, high, one.comparison, one.bound)
    where = {"pass": "within", "fail": "beyond", "inconclusive": "not decided by"}[verdict]
    shown = f"{value:.4g}" + (f" ({low:.4g} to {high:.4g})" if interval else "")
    reason = f"{shown}, {where} the bound {one.comparison} {one.bound:g}" + (f"; {note}" if note else "")
    return Measure(member=member, verdict=verdict, reason=reason, value=value, interval=interval)


def open_(member: Member, why: str, unread: bool = False) -> Measure:
    """Nothing is decided; `unread`: though there are figures."""
    return Measure(member=member, verdict="inconclusive", reason=why, unread=unread)


def unless(one: Assertion, found: Measure, base: float | None) -> Measure:
    """The measure of what is to be gone; a pass only where the base model's own figure is beyond the bound."""
    if found.verdict != "pass" or base is None or decide(base, base, one.comparison, one.bound) != "pass":
        return found
    return found.model_copy(update={"verdict": "inconclusive", "reason": f"{found.reason}; {TOO}: {base:.4g}"})


def failed(errors: Sequence[str]) -> str:
    """Why pictures with errors decide nothing; empty where there are none."""
    bad = [error for error in errors if error]
    return f"{len(bad)} of {len(errors)} pictures have an error: {bad[0]}" if bad else ""


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share not in (0, 1) else f"{100 * share:.0f} %"
