"""What came of an expectation: its metric's figures of every member, and the verdict they give together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from tracelang.evidence.accuracy import correct
from tracelang.evidence.accuracy import together as accuracy_of
from tracelang.evidence.attacks.attack import CAUTION
from tracelang.evidence.intervals import clustered
from tracelang.evidence.metrics import MEASURES
from tracelang.evidence.metrics.metric import MAY, TOO, UNREAD, Counted, Measured, Share, percent
from tracelang.evidence.pictures import drawable
from tracelang.evidence.schema import Accuracy, Measure, Outcome, Rate, Verdict
from tracelang.evidence.verdicts import decide, farthest, paired, rate, worst
from tracelang.plan.explain import said
from tracelang.plan.types import Assertion, Member, Plan
from tracelang.semantics.rules.unreachable_bound import reach
from tracelang.semantics.tables import METRICS
from tracelang.text import joined


def hopeless(plan: Plan) -> list[str]:
    """The assertions that stay inconclusive however well every picture turns out: known before any is drawn."""
    return [f"{said(one, 3)}: {why}" for one in plan.expect if (why := why_hopeless(one))]


def why_hopeless(one: Assertion) -> str:
    """Why it stays inconclusive whatever is measured; empty where it may pass."""
    metric = METRICS[one.metric]
    if metric.subject == "erased" and metric.comparison == "<=" and one.bound >= 1:
        return f"the base model's share is at most {percent(1)}: {TOO}; it cannot pass"
    if not metric.counted:
        return ""
    n = sum(min(one.samples, len(one.suite.of(name)) if one.suite else one.samples) for (name, *_) in one.concepts)
    room = one.bound if one.comparison == "<=" else 1 - one.bound
    if reach(n) <= room:
        return ""
    best = reach(n) if one.comparison == "<=" else 1 - reach(n)
    return f"{n} pictures show at best {one.comparison} {percent(best)}; it cannot pass"


def outcome(one: Assertion, measured: Measured) -> Outcome:
    """What came of an assertion."""
    measure = MEASURES[one.metric]
    reason, because, pool = "", "", None
    if one.after is not None:
        measured = measured.changed(one.after)
    if isinstance(measure, Share):
        verdict, reason, because, measures, pool = together(one, measured, measure)
    else:
        measures = tuple(measure(one, measured, member) for member in one.concepts)
        verdict = worst([found.verdict for found in measures])
    if cautions := _cautions(one, measured):
        measures = tuple(_heeded(found) if found.member in cautions else found for found in measures)
        if verdict == "fail" and not any(found.verdict == "fail" for found in measures):
            verdict, because = "inconclusive", next(iter(cautions.values()))
    last = farthest(measures, one.comparison)
    if verdict == "inconclusive":
        because = because or _briefly(last)
    if not reason:
        several = f"{joined(last.member)}, the worst of {len(measures)}: " if len(measures) > 1 else ""
        reason = several + last.reason
    reason = "; ".join((reason, *dict.fromkeys(cautions.values())))
    if one.attack in measured.plan.trained_against:
        reason += "; the edit was trained against what this attack looks for, so it is not held out"
    return Outcome(
        metric=one.metric,
        attack=one.attack,
        on=one.on,
        after=one.after,
        comparison=one.comparison,
        bound=one.bound,
        samples=one.samples,
        seed=one.seed,
        verdict=verdict,
        reason=reason,
        because=because,
        measures=measures,
        worst=last.member,
        rate=pool,
    )


def _cautions(one: Assertion, measured: Measured) -> dict[Member, str]:
    """Of each member what keeps the attack's figure from being read by itself."""
    sides = {member: measured.attacks.get((member, one.attack or "", one.samples, one.seed)) for member in one.concepts}
    return {member: str(side.budget[CAUTION]) for member, side in sides.items() if side and CAUTION in side.budget}


def _heeded(found: Measure) -> Measure:
    """A figure that says nothing by itself is no proof against an edit."""
    return found.model_copy(update={"verdict": "inconclusive"}) if found.verdict == "fail" else found


def _briefly(found: Measure) -> str:
    """Why a figure decides nothing, without the figures."""
    before, base, after = found.reason.partition(TOO)
    return base + after if base else before.removeprefix(f"{UNREAD}: ").partition("; ")[0]


Together = tuple[Verdict, str, str, tuple[Measure, ...], Rate | None]


def together(one: Assertion, measured: Measured, share: Share) -> Together:
    """The verdict, its reason, why it is undecided in a few words, the measure of each member, and the rate of all."""
    counts = {member: _counted(one, measured, member, share) for member in one.concepts}
    known = {member: measured.known(member) if share.looked else None for member in one.concepts}
    measures = tuple(_measure(one, member, counted, share, known[member]) for member, counted in counts.items())
    undecided = [(member, counted.reason) for member, counted in counts.items() if counted.reason]
    if undecided:
        member, why = undecided[0]
        more = f" (and {len(undecided) - 1} more of its concepts)" if len(undecided) > 1 else ""
        return "inconclusive", f"{joined(member)}: {why}{more}", why, measures, None
    pool = _corrected(_together(counts.values()), accuracy_of(known.values()), share)
    broken = [measure for measure in measures if measure.verdict == "fail"]
    verdict = _decided(one, pool)
    if broken and verdict != "fail":
        alone = farthest(broken, one.comparison)
        return "fail", f"{joined(alone.member)} alone: {alone.reason}{share.beside([alone])}", "", measures, pool
    reason = _reason(one, pool, verdict, share)
    if len(one.concepts) > 1:
        reason = f"{len(one.concepts)} concepts together: {reason}; {_of_members(one, measures)}"
    reason += share.beside(measures)
    because = ""
    if verdict == "inconclusive":
        because = _open(one, pool, share)
        if why := why_hopeless(one):
            reason, because = f"{reason}; {why}", why
    if verdict == "pass" and any(measure.rate and not _within(one, measure.rate) for measure in measures):
        verdict, because = "inconclusive", _of_members(one, measures)
    if verdict == "pass" and (why := _of_base(one, measures)):
        verdict, reason, because = "inconclusive", f"{reason}; {why}", why
    return verdict, reason, because, measures, pool


def _open(one: Assertion, found: Rate, share: Share) -> str:
    """Why a share decides nothing."""
    if not found.n:
        return share.nothing
    ends = found.decides
    return ends.note or f"{percent(ends.low)} to {percent(ends.high)} is on both sides of {percent(one.bound)}"


def _together(counts: Iterable[Counted]) -> Rate:
    """The rate of all members' pictures, with those of one member and prompt as one group."""
    parts = list(counts)
    groups = [
        (i, j if part.groups is None else part.groups[j]) for i, part in enumerate(parts) for j in range(len(part.hits))
    ]
    return clustered([hit for part in parts for hit in part.hits], groups)


def _decided(one: Assertion, found: Rate) -> Verdict:
    """By the interval; nothing decides where nothing was counted, or by a judge that tells nothing."""
    if not found.n or (found.corrected and found.corrected.note):
        return "inconclusive"
    return decide(found.decides.low, found.decides.high, one.comparison, one.bound)


def _within(one: Assertion, found: Rate) -> bool:
    """Is the share itself on the bound's side? Of nothing it is on none."""
    share = found.decides.share
    return share <= one.bound if one.comparison == "<=" else share >= one.bound


def _of_members(one: Assertion, measures: Sequence[Measure]) -> str:
    """What the pool could hide: the worst member, and how many miss the bound by their own share."""
    out = [measure for measure in measures if measure.rate and not _within(one, measure.rate)]
    last = max(out or measures, key=lambda measure: _off(one, measure))
    found = last.rate or rate(0, 0)
    counted = f"{found.hits} of {found.n} ({percent(found.share)})" if found.n else "of which nothing could be counted"
    told = f"{joined(last.member)}, {counted}"
    return f"{len(out)} not within it by their own share, the worst: {told}" if out else f"the worst: {told}"


def _off(one: Assertion, measure: Measure) -> float:
    """How far out a share lies; of nothing, as far as can be."""
    if measure.rate is None or not measure.rate.n:
        return inf
    found = measure.rate.decides.share
    return found if one.comparison == "<=" else -found


def _of_base(one: Assertion, measures: Sequence[Measure]) -> str:
    """Of what is to be gone, why a pass would say nothing: the base model's pictures meet the bound as well."""
    bases = [(measure.member, measure.base) for measure in measures if measure.base is not None]
    if METRICS[one.metric].subject != "erased" or not bases:
        return ""
    hits, n = sum(base.hits for _, base in bases), sum(base.n for _, base in bases)
    shares = [base.decides.share * base.n for _, base in bases if base.n]
    if n and sum(shares) / n <= one.bound:
        return _too(one, bases[0][1] if len(bases) == 1 else rate(hits, n))
    met = [(member, base) for member, base in bases if _within(one, base)]
    if not met:
        return ""
    (member, base), more = met[0], f" (and {len(met) - 1} more)" if len(met) > 1 else ""
    return f"of {joined(member)}{more} {_too(one, base)}"


def _too(one: Assertion, base: Rate) -> str:
    """That the base model's share is within the bound, and whether all of its interval is."""
    ends = base.decides
    if _decided(one, base) == "pass":
        return f"{TOO}: {base.hits} of {base.n}"
    return f"{MAY}: {base.hits} of {base.n}, 95 % interval {percent(ends.low)} to {percent(ends.high)}"


def _corrected(found: Rate, known: Accuracy | None, share: Share) -> Rate:
    return correct(found, known, still=share.looked == "shown before")


def _measure(one: Assertion, member: Member, counted: Counted, share: Share, known: Accuracy | None) -> Measure:
    if counted.reason:
        return Measure(member=member, verdict="inconclusive", reason=counted.reason, plain=counted.plain)
    found = _corrected(counted.rate, known, share)
    verdict = _decided(one, found)
    changes = counted.changes
    measure = Measure(
        member=member,
        verdict=verdict,
        reason=_reason(one, found, verdict, share),
        rate=found,
        base=None if counted.base is None else correct(rate(sum(counted.base), len(counted.base)), known),
        plain=counted.plain,
        paired=None if changes is None else paired([a for a, _ in changes], [b for _, b in changes]),
    )
    if verdict == "pass" and (why := _of_base(one, [measure])):
        return measure.model_copy(update={"verdict": "inconclusive", "reason": f"{measure.reason}; {why}"})
    return measure


def _counted(one: Assertion, measured: Measured, member: Member, share: Share) -> Counted:
    """What counts of one member, or why nothing does."""
    if not drawable(measured.plan, member):
        return Counted(reason="protected: no picture of it is ever drawn")
    if member not in measured.classes and METRICS[one.metric].judged:
        return Counted(reason=measured.unknown.get(member, "no judge looked"))
    return share.count(one, measured, member)


def _reason(one: Assertion, found: Rate, verdict: Verdict, share: Share) -> str:
    if not found.n:
        return f"{share.nothing}, so nothing can be said"
    where = {"pass": "all of it within", "fail": "all of it beyond", "inconclusive": "on both sides of"}[verdict]
    shared = f" of {found.prompts} prompts" if found.prompts else ""
    told = f"{found.hits} of {found.n}{shared}, 95 % interval {percent(found.low)} to {percent(found.high)}"
    if (mended := found.corrected) and mended.note:
        return f"{told}; {mended.note}, so nothing can be said"
    if mended:
        told += f"; corrected for its judge {percent(mended.share)}, {percent(mended.low)} to {percent(mended.high)}"
    return f"{told}, {where} the bound {one.comparison} {percent(one.bound)}"
