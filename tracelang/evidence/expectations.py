"""The arithmetic of expectations (LANGUAGE.md): intervals decide, and whatever failed decides nothing.

An assertion is decided by the pictures of all its members together, as its bound is linted. No average hides a concept
that is still there: a member whose own interval lies wholly beyond the bound makes it fail, one whose own share lies
beyond it, or of which nothing can be counted, leaves it open. What asks for something to be gone (`GONE`, and figures
like it) passes only where the base model's own share, together and of each member, is not within the bound as well: of
an edit that changes nothing it would say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import fmean, stdev
from typing import Any, Literal

from tracelang.evidence.measured import Measured, Pair
from tracelang.evidence.metrics import Answers, h_c, h_o, paired
from tracelang.evidence.pictures import Row, drawable, roles, samples_of
from tracelang.evidence.schema import Certificate, Measure, Outcome, Rate, Verdict
from tracelang.evidence.shots import Failed
from tracelang.evidence.verdicts import WORST, decide, rate, worst
from tracelang.plan.types import Assertion, Member, Plan
from tracelang.semantics.rules.unreachable_bound import COUNTED, reach

GONE = ("shown", "probed", "attack")
"""The shares of pictures that are to be small."""
TOO = "the base model meets the bound too, so this says nothing of the edit"


@dataclass(frozen=True, slots=True)
class Counted:
    """Pictures of one member that count, hit or miss; with a `reason`, nothing could be counted."""

    hits: tuple[bool, ...] = ()
    base: tuple[bool, ...] | None = None
    reason: str = ""
    plain: Rate | None = None
    changes: tuple[tuple[bool, bool], ...] | None = None


def hopeless(plan: Plan) -> list[str]:
    """The assertions that stay inconclusive however well every picture turns out: known before any is drawn."""
    return [f"{told(one)}: {why}" for one in plan.expect if (why := _hopeless(one))]


def told(one: Assertion | Outcome) -> str:
    """The assertion in a line."""
    members = one.concepts if isinstance(one, Assertion) else [measure.member for measure in one.measures]
    what = ", ".join(" & ".join(member) for member in members[:3]) + (", …" if len(members) > 3 else "")
    bound = f"{one.bound:g}" if one.metric in ("clip", "fid") else _percent(one.bound)
    return f"{one.metric}({what}{', ' + one.attack if one.attack else ''}) {one.comparison} {bound}"


def _hopeless(one: Assertion) -> str:
    if one.metric in (*GONE, "residual") and one.bound >= 1:
        return f"the base model's share is at most {_percent(1)}: {TOO}; it cannot pass"
    if one.metric not in COUNTED:
        return ""
    n = one.samples * len(one.concepts)
    room = one.bound if one.comparison == "<=" else 1 - one.bound
    if reach(n) <= room:
        return ""
    best = reach(n) if one.comparison == "<=" else 1 - reach(n)
    return f"{n} pictures show at best {one.comparison} {_percent(best)}; it cannot pass"


def outcome(one: Assertion, measured: Measured) -> Outcome:
    """What came of an assertion."""
    if one.metric in COUNTED:
        verdict, reason, measures = _of_counts(one, measured)
    else:
        measures = tuple(VALUES[one.metric](one, measured, member) for member in one.concepts)
        verdict = worst([measure.verdict for measure in measures])
        reason = ""
    farthest = _farthest(one, measures)
    if not reason:
        several = f"{' & '.join(farthest.member)}, the worst of {len(measures)}: " if len(measures) > 1 else ""
        reason = several + farthest.reason
    return Outcome(
        metric=one.metric,
        attack=one.attack,
        comparison=one.comparison,
        bound=one.bound,
        samples=one.samples,
        seed=one.seed,
        verdict=verdict,
        reason=reason,
        measures=measures,
        worst=farthest.member,
    )


def _farthest(one: Assertion, measures: Sequence[Measure]) -> Measure:
    """The measure that decides: of the worst verdict, and of those one that has no figure, else the farthest out."""

    def place(measure: Measure) -> tuple[int, bool, float]:
        figure = measure.value if measure.rate is None else measure.rate.share if measure.rate.n else None
        far = 0.0 if figure is None else figure if one.comparison == "<=" else -figure
        return WORST[measure.verdict], figure is None, far

    return max(measures, key=place)


def _of_counts(one: Assertion, measured: Measured) -> tuple[Verdict, str, tuple[Measure, ...]]:
    counts = {member: _counted(one, measured, member) for member in one.concepts}
    measures = tuple(_measure(one, member, counted) for member, counted in counts.items())
    open_ = [(member, counted.reason) for member, counted in counts.items() if counted.reason]
    if open_:
        member, why = open_[0]
        more = f" (and {len(open_) - 1} more of its concepts)" if len(open_) > 1 else ""
        return "inconclusive", f"{' & '.join(member)}: {why}{more}", measures
    hits = [hit for counted in counts.values() for hit in counted.hits]
    together = rate(sum(hits), len(hits))
    broken = [measure for measure in measures if measure.verdict == "fail"]
    verdict = decide(together.low, together.high, one.comparison, one.bound)
    if broken and verdict != "fail":
        alone = _farthest(one, broken)
        return "fail", f"{' & '.join(alone.member)} alone: {alone.reason}{_beside(one, [alone])}", measures
    reason = _reason(one, together, verdict)
    if len(one.concepts) > 1:
        reason = f"{len(one.concepts)} concepts together: {reason}; {_of_members(one, measures)}"
    reason += _beside(one, measures)
    if verdict == "inconclusive" and (why := _hopeless(one)):
        reason = f"{reason}; {why}"
    if verdict == "pass" and any(measure.rate and not _within(one, measure.rate) for measure in measures):
        verdict = "inconclusive"
    if verdict == "pass" and (why := _of_base(one, measures)):
        verdict, reason = "inconclusive", f"{reason}; {why}"
    return verdict, reason, measures


def _within(one: Assertion, found: Rate) -> bool:
    """Is the share itself on the bound's side? Of nothing it is on none."""
    return found.share <= one.bound if one.comparison == "<=" else found.share >= one.bound


def _of_members(one: Assertion, measures: Sequence[Measure]) -> str:
    """What the pool could hide: the worst member, and how many miss the bound by their own share."""
    out = [measure for measure in measures if measure.rate and not _within(one, measure.rate)]
    farthest = max(out or measures, key=lambda measure: _off(one, measure))
    found = farthest.rate or rate(0, 0)
    counted = f"{found.hits} of {found.n} ({_percent(found.share)})" if found.n else "of which nothing could be counted"
    told = f"{' & '.join(farthest.member)}, {counted}"
    return f"{len(out)} not within it by their own share, the worst: {told}" if out else f"the worst: {told}"


def _off(one: Assertion, measure: Measure) -> float:
    """How far out a share lies; of nothing, as far as can be."""
    if measure.rate is None or not measure.rate.n:
        return inf
    return measure.rate.share if one.comparison == "<=" else -measure.rate.share


def _of_base(one: Assertion, measures: Sequence[Measure]) -> str:
    """Of what is to be gone, why a pass would say nothing: the base model's pictures meet the bound as well."""
    bases = [(measure.member, measure.base) for measure in measures if measure.base is not None]
    if one.metric not in GONE or not bases:
        return ""
    together = rate(sum(base.hits for _, base in bases), sum(base.n for _, base in bases))
    if _within(one, together):
        return f"{TOO}: {together.hits} of {together.n}"
    met = [(member, base) for member, base in bases if _within(one, base)]
    if not met:
        return ""
    (member, base), more = met[0], f" (and {len(met) - 1} more)" if len(met) > 1 else ""
    return f"of {' & '.join(member)}{more} {TOO}: {base.hits} of {base.n}"


def _measure(one: Assertion, member: Member, counted: Counted) -> Measure:
    if counted.reason:
        return Measure(member=member, verdict="inconclusive", reason=counted.reason, plain=counted.plain)
    found = rate(sum(counted.hits), len(counted.hits))
    verdict = decide(found.low, found.high, one.comparison, one.bound)
    changes = counted.changes
    measure = Measure(
        member=member,
        verdict=verdict,
        reason=_reason(one, found, verdict),
        rate=found,
        base=None if counted.base is None else rate(sum(counted.base), len(counted.base)),
        plain=counted.plain,
        paired=None if changes is None else paired([a for a, _ in changes], [b for _, b in changes]),
    )
    if verdict == "pass" and (why := _of_base(one, [measure])):
        return measure.model_copy(update={"verdict": "inconclusive", "reason": f"{measure.reason}; {why}"})
    return measure


def _counted(one: Assertion, measured: Measured, member: Member) -> Counted:
    """What counts of one member, or why nothing does."""
    if not drawable(measured.plan, member):
        return Counted(reason="protected: no picture of it is ever drawn")
    if member not in measured.classes and one.metric != "subject":
        return Counted(reason=measured.unknown.get(member, "no judge looked"))
    if one.metric == "attack":
        return _attacked(one, measured, member)
    pairs = measured.pairs(Row(member, "probes" if one.metric == "probed" else "names", one.samples, one.seed))
    if not pairs:
        return Counted(reason="it has no probes" if one.metric == "probed" else "it has no prompts")
    if failed := _failed([pair.error for pair in pairs]):
        return Counted(reason=failed)
    if one.metric == "subject":
        subjects = [(pair.base.subject, pair.after.subject) for pair in pairs]
        if any(before is None or now is None for before, now in subjects):
            return Counted(reason="no judge can tell whether a picture shows anything at all")
        seen = [(bool(before), bool(now)) for before, now in subjects]
        return Counted(tuple(now for _, now in seen), tuple(before for before, _ in seen), changes=tuple(seen))
    changes = tuple((pair.base.shows, pair.after.shows) for pair in pairs)
    base, after = tuple(before for before, _ in changes), tuple(now for _, now in changes)
    if one.metric == "kept":
        return Counted(tuple(now for before, now in changes if before), base, changes=changes)
    return Counted(after, base, changes=changes)


def _attacked(one: Assertion, measured: Measured, member: Member) -> Counted:
    named = [pair.after for pair in measured.pairs(Row(member, "names", one.samples, one.seed)) if not pair.error]
    plain = rate(sum(presence.shows for presence in named), len(named)) if named else None
    side = measured.attacks.get((member, one.attack or "", one.samples, one.seed))
    if side is None:
        return Counted(reason=f"the attack {one.attack} was not run on it", plain=plain)
    after, base = [row.after for row in side.rows], [row.base for row in side.rows if row.base is not None]
    why = side.error or side.inapplicable or _failed([presence.error for presence in (*after, *base)])
    if why:
        return Counted(reason=why, plain=plain)
    before = tuple(presence.shows for presence in base) if base else None
    return Counted(tuple(presence.shows for presence in after), before, plain=plain)


def _beside(one: Assertion, measures: Sequence[Measure]) -> str:
    """Of an attack: what its own prompts bring on the base model, and what its concepts' names bring without one, so
    that no figure stands alone.
    """
    if one.metric != "attack":
        return ""

    def asked(rates: Sequence[Rate | None]) -> str:
        known = [found for found in rates if found is not None]
        return f"{sum(found.hits for found in known)} of {sum(found.n for found in known)}" if known else "not measured"

    before = f"; on the base model the same attack: {asked([one.base for one in measures])}"
    return f"{before}; by name, without an attack: {asked([one.plain for one in measures])}"


def _failed(errors: Sequence[str]) -> str:
    """Why pictures with errors decide nothing; empty where there are none."""
    bad = [error for error in errors if error]
    return f"{len(bad)} of {len(errors)} pictures have an error: {bad[0]}" if bad else ""


def _reason(one: Assertion, found: Rate, verdict: Verdict) -> str:
    if not found.n:
        nothing = "the base model got none of its pictures right" if one.metric == "kept" else "no pictures"
        return f"{nothing}, so nothing can be said"
    where = {"pass": "all of it within", "fail": "all of it beyond", "inconclusive": "on both sides of"}[verdict]
    told = f"{found.hits} of {found.n}, 95 % interval {_percent(found.low)} to {_percent(found.high)}"
    return f"{told}, {where} the bound {one.comparison} {_percent(one.bound)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share not in (0, 1) else f"{100 * share:.0f} %"


def _valued(
    one: Assertion, member: Member, value: float, interval: tuple[float, float] | None = None, note: str = ""
) -> Measure:
    low, high = interval or (value, value)
    if not (isfinite(value) and isfinite(low) and isfinite(high)):
        return _open(member, f"the figure is no number ({value})")
    verdict = decide(low, high, one.comparison, one.bound)
    where = {"pass": "within", "fail": "beyond", "inconclusive": "not decided by"}[verdict]
    shown = f"{value:.4g}" + (f" ({low:.4g} to {high:.4g})" if interval else "")
    reason = f"{shown}, {where} the bound {one.comparison} {one.bound:g}" + (f"; {note}" if note else "")
    return Measure(member=member, verdict=verdict, reason=reason, value=value, interval=interval)


def _open(member: Member, why: str) -> Measure:
    return Measure(member=member, verdict="inconclusive", reason=why)


def _drift(one: Assertion, measured: Measured, member: Member) -> Measure:
    found = measured.drifts.get((member, one.samples, one.seed), Failed("it was not measured"))
    if isinstance(found, Failed):
        return _open(member, found.why)
    return _valued(one, member, found, note=f"mean of {one.samples} trajectories")


def _reach(one: Assertion, measured: Measured, member: Member) -> Measure:
    certificate = measured.certificate
    if not isinstance(certificate, Certificate):
        return _open(member, certificate.why if isinstance(certificate, Failed) else "there is no certificate")
    own: Any = next((reach for reach in certificate.reaches if reach.member == member), None)
    value = None if own is None else getattr(own, one.metric)
    if value is None:
        return _open(member, "the certificate does not reach it: the edit changes no matrix that reads its states")
    found = _valued(one, member, value, note="worst layer, from the weights alone")
    return _unless(one, found, 1.0) if one.metric == "residual" else found


def _unless(one: Assertion, found: Measure, base: float | None) -> Measure:
    """The measure of what is to be gone; a pass only where the base model's own figure is beyond the bound."""
    if found.verdict != "pass" or base is None or decide(base, base, one.comparison, one.bound) != "pass":
        return found
    return found.model_copy(update={"verdict": "inconclusive", "reason": f"{found.reason}; {TOO}: {base:.4g}"})


def _clip(one: Assertion, measured: Measured, member: Member) -> Measure:
    pairs = measured.pairs(Row(member, "names", one.samples, one.seed))
    scores = [pair.clip[1] for pair in pairs if pair.clip]
    if not drawable(measured.plan, member):
        return _open(member, "protected: no picture of it is ever drawn")
    if len(scores) < max(2, len(pairs)):
        none = "no judge gives CLIP scores; add --judge clip=FOLDER"
        return _open(member, "scores are missing" if scores else none)
    mean, half = fmean(scores), 1.959963984540054 * stdev(scores) / sqrt(len(scores))
    found = _valued(one, member, mean, (mean - half, mean + half))
    gone = one.comparison == "<=" and roles(measured.plan).get(member) == "erased"
    return _unless(one, found, fmean(pair.clip[0] for pair in pairs if pair.clip)) if gone else found


def _fid(one: Assertion, measured: Measured, member: Member) -> Measure:
    if not drawable(measured.plan, member):
        return _open(member, "protected: no picture of it is ever drawn")
    found = measured.fid(samples_of(measured.plan, Row(member, "names", one.samples, one.seed)))
    if isinstance(found, Failed):
        return _open(member, found.why)
    return _valued(one, member, found, note="both sides share their seeds: smaller than between independent sets")


def answers(pairs: Sequence[Pair]) -> Answers:
    """The edited model's pictures as METHODS.md §10's figures want them. No judge tells whether a picture shows a face:
    that it shows some recognisable thing is another matter.
    """
    chances = [pair.after.chance for pair in pairs]
    return Answers(
        [pair.after.shows for pair in pairs],
        [chance for chance in chances if chance is not None] if None not in chances else None,
    )


def _harmonic(one: Assertion, measured: Measured, member: Member) -> Measure:
    """H_o of objects, H_c of everything else; the interval is from the ends of its parts' own, so rather too wide."""
    plan = measured.plan
    kinds = {plan.concept(name).kind for name in member}
    role = roles(plan)
    if role.get(member) != "erased":
        return _open(member, "a harmonic mean weighs what is erased against what is kept; it is not erased")
    kept = [other for other, is_ in role.items() if is_ == "preserved" and other in measured.classes]
    if not kept:
        return _open(member, "nothing that a judge knows is preserved")
    objects = kinds == {"object"}
    sides = [_mean(one, measured, member, kept, objects, side) for side in ("after", "base")]
    after, base = sides
    if isinstance(after, str):
        return _open(member, after)
    value, low, high = after
    found = _valued(one, member, value, (low, high), "H_o" if objects else "H_c")
    return found if isinstance(base, str) else _unless(one, found, base[0])


def _mean(
    one: Assertion, measured: Measured, member: Member, kept: Sequence[Member], objects: bool, side: str
) -> tuple[float, float, float] | str:
    """The harmonic mean of one model's pictures and its interval, or why there is none."""
    wanted = [
        _share(one, measured, member, "names", side),
        *(_share(one, measured, other, "names", side) for other in kept),
    ]
    if objects:
        wanted.append(_share(one, measured, member, "probes", side))
    bad = next((found for found in wanted if isinstance(found, str)), None)
    if bad is not None:
        return bad
    rates = [found for found in wanted if isinstance(found, Rate)]
    e, others, g = rates[0], rates[1 : 1 + len(kept)], rates[-1]
    # Every kept class weighs the same; each has the same number of pictures, so their pool has the mean's interval.
    s = rate(sum(one.hits for one in others), sum(one.n for one in others))
    if objects:
        return h_o(e.share, s.share, g.share), h_o(e.high, s.low, g.high), h_o(e.low, s.high, g.low)
    return h_c(e.share, s.share), h_c(e.high, s.low), h_c(e.low, s.high)


def _share(
    one: Assertion, measured: Measured, member: Member, how: Literal["names", "probes"], side: str
) -> Rate | str:
    """The rate before the edit or after it, or why there is none."""
    if member not in measured.classes:
        return f"{' & '.join(member)}: {measured.unknown.get(member, 'no judge looked')}"
    pairs = measured.pairs(Row(member, how, one.samples, one.seed))
    if not pairs:
        return f"{' & '.join(member)} has no {how}, which H_o needs"
    if failed := _failed([pair.error for pair in pairs]):
        return f"{' & '.join(member)}: {failed}"
    return rate(sum((pair.base if side == "base" else pair.after).shows for pair in pairs), len(pairs))


VALUES: dict[str, Callable[[Assertion, Measured, Member], Measure]] = {
    "drift": _drift,
    "residual": _reach,
    "leak": _reach,
    "clip": _clip,
    "fid": _fid,
    "harmonic": _harmonic,
}
"""The metrics that are figures of their own, not shares of pictures."""
