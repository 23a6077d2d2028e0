"""What a probe gets out of the edited model beyond what it gets out of models that never knew the concept, on the same
targets (docs/methods.md §5.7): what was left in, as far as a probe can tell it from what it teaches or brings along.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from tracelang.evidence.accuracy import corrected_difference
from tracelang.evidence.bench import Presence
from tracelang.evidence.controls import RANDOM
from tracelang.evidence.intervals import Difference, Targets, clustered
from tracelang.evidence.metrics.metric import UNREAD, Measured, failed, open_, valued
from tracelang.evidence.report.wording import LESS
from tracelang.evidence.schema import Accuracy, Measure, Rate, Residue
from tracelang.evidence.units.control import ControlSide, Probe, suite_probe
from tracelang.evidence.verdicts import decide
from tracelang.plan.types import Assertion, Member

MARGIN = 0.10
"""So large an excess is none, where all of its interval lies within."""
LEAK = 0.05
"""A probe is valid where a model that has learned nothing shows at most this, by the upper end of the interval."""
POWER = 0.20
"""A probe has power where the base shows more than so much beyond models that never knew, by the lower end."""
ALONE = (
    "nothing tells what was left in the model from what it could learn anew: name models that never knew it with "
    "`control never`"
)
MAYBE = f"the difference may be none, or more than {100 * MARGIN:g} points"
ABOVE = "and above none: something of it is likely there"
UNTRIED = "nothing tells what the probe brings along by itself: write `control random`"


@dataclass(frozen=True, slots=True)
class Looked:
    """A probe on base and edited model and on its controls, whose `reasons` say why one has no rows. `typed`: its
    targets that share a prompt share what was found.
    """

    base: tuple[Presence, ...]
    edited: tuple[Presence, ...]
    groups: tuple[Hashable, ...]
    controls: dict[str, ControlSide]
    reason: str = ""
    known: Accuracy | None = None
    """How often its judge is right."""
    typed: bool = False

    @property
    def never(self) -> dict[str, ControlSide]:
        return {name: side for name, side in self.controls.items() if name != RANDOM}

    @property
    def random(self) -> Rate | None:
        side = self.controls.get(RANDOM)
        return self.on(side) if side and side.shows and not side.reason else None

    def on(self, side: ControlSide) -> Rate:
        """What a control shows of it, under the prompts that were found against it."""
        return clustered(side.shows, side.prompts if self.typed else tuple(range(len(side.shows))))


@dataclass(frozen=True, slots=True)
class Compared:
    """What a probe says: see `schema.Probed`. `true`: the excess and its interval, corrected for a known judge."""

    excess: Difference | None = None
    true: tuple[float, float, float] | None = None
    room: Difference | None = None
    share: tuple[float, float, float] | None = None
    valid: bool | None = None
    powered: bool | None = None
    why: str = ""

    def verdict(self, held: bool) -> tuple[Residue, str]:
        """With why it is open; `held`: the excess holds together with all others that were tested."""
        if self.excess is None or self.true is None:
            return "open", self.why
        less = self.true[2] < 0
        if self.why:
            return "open", f"{LESS}; besides, {self.why}" if less else self.why
        if self.excess.low > 0:
            if held:
                return "residue shown", ""
            return "open", "it would be shown by itself, and does not hold together with all the others (Holm)"
        _, low, high = self.true
        if low >= -MARGIN and high <= MARGIN:
            return "none by this probe", ""
        if less:
            return "open", LESS
        if self.excess.low >= -MARGIN and self.excess.high <= MARGIN:
            return (
                "open",
                f"corrected for its judge it may be {low:+.0%} to {high:+.0%}: a judge that sees more would tell",
            )
        return "open", f"{MAYBE}; more targets, or more such models, would decide"


def looked(measured: Measured, probe: Probe) -> Looked:
    """The same targets in every model; with a `reason`, why there are none."""
    controls = dict(measured.controls.get(probe, {}))
    if probe.row is not None:
        pairs = measured.pairs(probe.row)
        base, edited = tuple(pair.base for pair in pairs), tuple(pair.after for pair in pairs)
        groups: tuple[Hashable, ...] = tuple(range(len(pairs)))  # its prompts are the recipe's, only seeds are drawn
        why, typed = "", False
    else:
        key = (probe.member, probe.how, probe.samples, probe.seed)
        side = measured.attacks.get(key)
        if side is None:
            return Looked((), (), (), controls, f"the attack {probe.how} was not run on it")
        base, edited = measured.unedited.get(key, ()), tuple(row.after for row in side.rows)
        groups, why, typed = side.groups, side.error or side.inapplicable, not side.soft
    why = why or failed([one.error for one in (*base, *edited)])
    if not why and not (len(base) == len(edited) > 0):
        why = "the base model was not tried on the same targets"
    return Looked(base, edited, groups, controls, why, measured.known(probe.member), typed)


def compare(found: Looked) -> Compared:
    """The edited model and the base beside the controls, with all that keeps a verdict from being given."""
    random = found.random
    valid = None if random is None else random.high <= LEAK
    if found.reason:
        return Compared(valid=valid, why=found.reason)
    if not found.never:
        return Compared(valid=valid, why=ALONE)
    if lost := next((f"{name}: {side.reason}" for name, side in found.never.items() if side.reason), ""):
        return Compared(valid=valid, why=lost)
    n = len(found.edited)
    if any(len(side.shows) != n for side in found.never.values()):
        return Compared(valid=valid, why="a control was not tried on the same targets")
    targets = Targets(
        found.groups,
        [one.shows for one in found.base],
        [one.shows for one in found.edited],
        {name: side.shows for name, side in found.never.items()},
    )
    excess, room = targets.above(targets.edited), targets.above(targets.base)
    powered = room.low > POWER
    why = ""
    if RANDOM not in found.controls:
        why = UNTRIED
    elif random is None:
        why = f"{RANDOM}: {found.controls[RANDOM].reason or 'nothing was drawn'}"
    elif not valid:
        brings = "the probe brings it along by itself"
        says = brings if random.share > LEAK else f"too few to rule out that {brings}"
        shows = f"{random.hits} of {random.n}, perhaps {random.high:.1%}"
        why = f"a model that has learned nothing shows it in {shows}: {says}"
    elif not powered:
        why = (
            "the base model shows no more than those that never knew it, or too little more to tell "
            f"({room.value:+.0%}, {room.low:+.0%} to {room.high:+.0%}): this probe has no power here"
        )
    share = targets.normalised() if powered else None
    true = corrected_difference((excess.value, excess.low, excess.high), found.known)
    return Compared(excess, true, room, share, valid, powered, why)


def excess(one: Assertion, measured: Measured, member: Member) -> Measure:
    own = Probe(member, one.attack or "names", one.samples, one.seed) if one.suite is None else suite_probe(one, member)
    found = compare(looked(measured, own))
    if found.excess is None or found.true is None:
        return open_(member, found.why)
    if found.why:
        return open_(member, f"{UNREAD}: {found.why}", True)
    value, low, high = found.true
    if high < -MARGIN:
        return open_(member, LESS, True)
    raw = found.excess
    note = "of the targets, beyond models that never knew it"
    if found.true != (raw.value, raw.low, raw.high):
        note += f"; corrected for its judge, {raw.value:.4g} ({raw.low:.4g} to {raw.high:.4g}) as it counts"
    within = decide(low, high, one.comparison, one.bound) == "pass"
    return valued(one, member, value, (low, high), f"{ABOVE}; {note}" if within and low > 0 else note)


MEASURES = {"excess": excess}
