"""Figures and names as people read them: one wording for the report and the model card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import floor, inf, isfinite, log10

from tracelang.evidence.schema import AttackFinding, Corrected, Measure, Outcome, Probed, Rate
from tracelang.plan.explain import Asserted, said
from tracelang.semantics.tables import METRICS
from tracelang.text import joined

NO_BREAK = "\N{NO-BREAK SPACE}"
VERDICTS = {
    "pass": "Everything that the recipe expects was shown to hold.",
    "fail": "At least one thing that the recipe expects, or that is expected of every edit, was shown not to hold.",
    "inconclusive": "The measurements decide neither way. That is not a pass.",
}


def percent(share: float | None) -> str:
    """0.0699 → `7.0 %`. Never `0.0 %` or `100.0 %` for what is not exactly that."""
    if share is None or not isfinite(share):
        return "—"
    text = f"{100 * share:.1f}"
    if share in (0, 1):
        text = f"{100 * share:.0f}"
    elif text in ("0.0", "-0.0"):
        return f"< 0.1{NO_BREAK}%"
    elif text == "100.0":
        return f"> 99.9{NO_BREAK}%"
    return f"{text}{NO_BREAK}%".replace("-", "−")


def bound(metric: str, value: float) -> str:
    """A bound as its author wrote it: percent for shares and ratios, a plain number for scores."""
    if METRICS[metric].scale == "score":
        return f"{value:g}"
    return f"{100 * value:.6g}{NO_BREAK}%"


def number(value: float | None) -> str:
    """Three significant digits at most; `—` for nothing."""
    if value is None or not isfinite(value):
        return "—"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:,.{max(0, 2 - floor(log10(abs(value))))}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
    power = floor(log10(abs(value)))
    return f"{value / 10**power:.2f} × 10{str(power).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def counted(rate: Rate) -> str:
    """`2 of 100`."""
    return f"{rate.hits}{NO_BREAK}of{NO_BREAK}{rate.n}"


def between(rate: Rate) -> str:
    """`0.6 to 7.0 %`: the 95 % interval."""
    return f"{percent(rate.low).removesuffix(f'{NO_BREAK}%')} to {percent(rate.high)}"


def mended(found: Corrected) -> str:
    """A corrected share and its interval, or why there is none."""
    if found.note:
        return found.note
    return f"{percent(found.share)}, {percent(found.low)} to {percent(found.high)}"


def still(rate: Rate) -> str:
    """The end of the interval that matters: of hits how few they may be, `at least 83.9 %`, of misses how many hits."""
    return f"at least {percent(rate.low)}" if rate.share > 0.5 else f"at most {percent(rate.high)}"


def moved(rate: Rate) -> bool:
    """Does a page say that it was corrected: by more than a point, or for a judge of which nothing can be said?"""
    found = rate.corrected
    if found is None or found.note:
        return found is not None
    ends = ((rate.share, found.share), (rate.low, found.low), (rate.high, found.high))
    return any(abs(round(1000 * a) - round(1000 * b)) > 10 for a, b in ends)


def at_most(rate: Rate | None) -> str:
    """`2 of 100, at most 7.0 %`."""
    return "not measured" if rate is None or not rate.n else f"{counted(rate)}, at most {percent(rate.high)}"


def at_least(rate: Rate | None) -> str:
    """`97 of 100, at least 91.5 %`."""
    return "not measured" if rate is None or not rate.n else f"{counted(rate)}, at least {percent(rate.low)}"


def span(interval: tuple[float | None, float | None] | None) -> str:
    """`0.6 to 1.3`; an end that nothing bounds is `…`."""
    if interval is None:
        return "—"
    low, high = ("…" if end is None else number(end) for end in interval)
    return f"{low} to {high}"


def chance(p: float) -> str:
    """A p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def sentences(text: str) -> str:
    """`a is so; b is not` → `A is so. B is not.`: the parts of one long sentence as several."""
    told = [f"{part[:1].upper()}{part[1:]}" for part in text.removesuffix(".").split("; ")]
    return f"{'. '.join(told)}."


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    told = [*names] or [""]
    most, last = told[:-1], told[-1]
    return f"{', '.join(most)} and {last}" if most else last


def size(count: int) -> str:
    """Bytes in decimal units, as file managers show them."""
    value, units = float(count), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.3g}{NO_BREAK}{unit}"


def parameters(count: int) -> str:
    """`5.62 million parameters`."""
    for unit, name in ((1e9, "billion "), (1e6, "million ")):
        if count >= unit:
            return f"{number(count / unit)}{NO_BREAK}{name}parameters"
    return f"{count:,}{NO_BREAK}parameters"


def duration(seconds: float) -> str:
    """`0.4 s`, `48 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min" + (f" {whole % 60}{NO_BREAK}s" if whole % 60 else "")
    whole = round(seconds / 60)
    return f"{whole // 60}{NO_BREAK}h" + (f" {whole % 60}{NO_BREAK}min" if whole % 60 else "")


def formula(one: Asserted) -> str:
    """The expectation as the recipe writes it, of at most three concepts: `attack(cat, p4d) <= 10%`."""
    return said(one, 3)


def basis(outcome: Outcome) -> str:
    """What an expectation was measured on."""
    seeds = f"seeds from {outcome.seed}"
    source = METRICS[outcome.metric].source
    if source == "weights":
        return "Read from the weights: no picture, no seed."
    if source == "trajectories":
        return f"{outcome.samples} trajectories of each concept, no picture; {seeds}."
    if outcome.on:
        return f"At most {outcome.samples} of the suite’s prompts of each concept, with its own seeds; else {seeds}."
    return f"{outcome.samples} pictures of each concept{' under the attack' if outcome.attack else ''}, {seeds}."


def demand(outcome: Outcome) -> str:
    """The expectation as a sentence."""
    limit = "at most" if outcome.comparison == "<=" else "at least"
    told = METRICS[outcome.metric].demand.format(
        limit=limit, bound=bound(outcome.metric, outcome.bound), attack=outcome.attack or "named"
    )
    asked = " Its prompts are those of a published suite." if outcome.on else ""
    return f"{told[0].upper()}{told[1:]}{asked}"


def arithmetic(outcome: Outcome, measure: Measure) -> str:
    """What was counted and where the bound lies, in words. The verdict's own reason stands beside it."""
    if measure.rate is not None and measure.rate.n:
        rate = measure.rate
        told = (
            f"{counted(rate)} is {percent(rate.share)}; with 95{NO_BREAK}% confidence the true share is between "
            f"{percent(rate.low)} and {percent(rate.high)}."
        )
        ends = (rate.decides.low, rate.decides.high)
        if rate.corrected and moved(rate):
            told += f" Corrected for its judge: {mended(rate.corrected)}."
    elif measure.value is not None:
        show = number if METRICS[outcome.metric].scale == "score" else percent
        told, ends = f"Measured: {_valued(measure, show)}", (measure.value, measure.value)
        if measure.interval:
            low, high = measure.interval
            ends = -inf if low is None else low, inf if high is None else high
            told += f"; with 95{NO_BREAK}% confidence {_between(low, high, show)}"
        told += "."
    else:
        return "Measured, and no figure of it decides." if measure.unread else "Nothing was measured."
    return f"{told} {_placed(outcome, *ends)}"


def measured(outcome: Outcome, measure: Measure) -> str:
    """A figure that is no share of pictures, with its interval where it has one."""
    show = number if METRICS[outcome.metric].scale == "score" else percent
    interval = ""
    if measure.interval:
        low, high = ("…" if end is None else show(end) for end in measure.interval)
        interval = f", {low} to {high}"
    return f"{_valued(measure, show)}{interval}"


def _valued(measure: Measure, show: Callable[[float | None], str]) -> str:
    """Its figure, or which bound of it is known."""
    return f"{measure.value_bound or ''} {show(measure.value)}".strip()


def _between(low: float | None, high: float | None, show: Callable[[float | None], str]) -> str:
    if low is None or high is None:
        return f"at most {show(high)}" if low is None else f"at least {show(low)}"
    return f"between {show(low)} and {show(high)}"


KINDS = {
    "number": "a number",
    "length": "ratio of lengths",
    "square": "share of squared length",
    "factor": "a factor",
    "cosine": "a cosine",
}
"""What a figure that is read from weights is. Lengths do not add up, squares do: a tenth of a length is a hundredth of
its square.
"""


def squared(length: float | None) -> str:
    """A ratio of lengths as a share of squared length: 0.1 → `1.0 %`."""
    return percent(None if length is None else length**2)


PROBES = {"names": "asked for by name", "probes": "suggested, not named"}


def probe(one: Probed) -> str:
    """What was tried: `asked for by name`, or the attack's name."""
    return PROBES.get(one.how, one.how)


def points(value: float) -> str:
    """A difference of shares: `+12.0 points`."""
    return f"{100 * value:+.1f}{NO_BREAK}points".replace("-", "−")


def points_between(low: float, high: float) -> str:
    """`−5.9 to +15.7 points`."""
    return f"{points(low).removesuffix(f'{NO_BREAK}points')} to {points(high)}"


def beside(one: Probed) -> tuple[str, str, str]:
    """Its figures: after the edit, in models that never knew the concept (the fewest and the most hits of one), and
    how far apart the two are. Empty where it has none.
    """
    if one.edited is None or one.excess is None:
        return "", "", ""
    counts = sorted({control.rate.hits for control in one.never if control.rate is not None})
    several = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    apart = f"{points(one.excess.value)} ({points_between(one.excess.low, one.excess.high)})"
    return counted(one.edited), several, apart


def said_beside(one: Probed) -> str:
    """What a probe beside its controls says of what is left, as one sentence that begins with its verdict."""
    begin = f"{verdict(one)}: {joined(one.member)}, {probe(one)}: "
    after, never, apart = beside(one)
    if not after:
        return f"{begin}{one.why}"
    known = sum(control.rate is not None for control in one.never)
    named = "models that never knew it" if known > 1 else "a model that never knew it"
    return f"{begin}{after} after the edit, {never} from {named}, {apart}: {SO.get(one.verdict) or _open(one, one.why)}"


LESS = (
    "clearly less than models that never knew it show; nothing more was found, but showing so little is damage or "
    "refusal, and no proof that nothing is left"
)
"""Of a probe that is open since it finds less after the edit than in models that never knew the concept."""


def less(one: Probed) -> bool:
    """Is it open for that?"""
    return one.verdict == "open" and one.why.startswith(LESS)


FEWER = "less than in any model that never knew it, which may be damage, refusal or chance: nothing more was found"


def _open(one: Probed, why: str) -> str:
    """Why it is open, and where it finds less than in any of them without that being clear, that."""
    never = [control.rate.hits for control in one.never if control.rate is not None]
    fewer = one.edited is not None and never and one.edited.hits < min(never)
    return f"{why}; {FEWER}" if fewer and not less(one) else why


def verdict(one: Probed) -> str:
    """Its verdict in a few words, which tell what is open for damage from what is open for want of pictures."""
    return "open: shows less" if less(one) else one.verdict


SO = {
    "residue shown": "something of it was left in the model",
    "none by this probe": "this probe finds no more than a model could learn that never knew it",
}


def so(one: Probed) -> str:
    """What follows from a probe whose figures stand beside it: of what is open the reason without them."""
    if one.verdict != "open":
        return SO[one.verdict]
    told = one.excess is not None and one.random is not None and one.random.rate is not None and not less(one)
    return _open(one, one.why.rpartition(": ")[2] if told else one.why)


def _placed(outcome: Outcome, low: float, high: float) -> str:
    wanted = bound(outcome.metric, outcome.bound)
    where = "below" if high <= outcome.bound else "above" if low >= outcome.bound else ""
    if low == high:
        return f"That is {'exactly' if low == outcome.bound else where} the bound of {wanted}."
    return f"All of that lies {where} the bound of {wanted}." if where else f"The bound of {wanted} lies inside."


def strongest(attacks: Sequence[AttackFinding]) -> AttackFinding | None:
    """The attack with the highest rate on the edited model; None where none was measured."""
    measured = [one for one in attacks if one.adaptive is not None and one.adaptive.n]
    return max(measured, key=lambda one: one.adaptive.share if one.adaptive else 0.0, default=None)


def called(attack: AttackFinding) -> str:
    """Its name, and whether the edit was trained against what it looks for."""
    return attack.attack if attack.held_out else f"{attack.attack} (trained against)"


def worked(attack: AttackFinding) -> int:
    """How many of its examples brought the concept back: the first ones. Where nobody counted prompts, all or none."""
    shown = attack.prompts or attack.adaptive
    listed = len(attack.examples)
    return listed if shown is None or (shown.hits and attack.prompts is None) else min(shown.hits, listed)


def tried(attack: AttackFinding) -> str:
    """What its examples are: `2 prompts that worked, 1 that did not`."""
    good, listed = worked(attack), len(attack.examples)
    if attack.adaptive is None and attack.prompts is None:
        return f"{_prompts(listed)} that it found"
    if not good:
        return f"None of its prompts worked: {_prompts(listed)} that it tried"
    rest = f", {listed - good} that did not" if listed > good else ""
    more = f" of the {attack.prompts.hits}" if attack.prompts and attack.prompts.hits > good else ""
    return f"{good}{more} prompts that worked{rest}" if more else f"{_prompts(good)} that worked{rest}"


def _prompts(count: int) -> str:
    return "1 prompt" if count == 1 else f"{count} prompts"


def held_out(attacks: Sequence[AttackFinding]) -> list[AttackFinding]:
    """Those that no training was aimed at."""
    return [one for one in attacks if one.held_out]


def ticked(share: float) -> str:
    """A share on an axis: `20 %`."""
    return f"{100 * share:.3g}{NO_BREAK}%".replace("-", "−")


def level(logsnr: float) -> str:
    """A noise level on an axis: `−2.5`."""
    return f"{logsnr:.3g}".replace("-", "−")
