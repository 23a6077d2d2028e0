"""What a report says besides its figures: its summary, what failed, and what nobody tested."""

from __future__ import annotations

from collections.abc import Sequence

from tracelang.evidence.pictures import drawable, roles
from tracelang.evidence.report.evidence import Evidence
from tracelang.evidence.schema import Integrity, Outcome
from tracelang.text import joined

ALWAYS_UNTESTED = (
    "whether fine-tuning the edited weights, on a few pictures of a concept, brings it back",
    "other ways in: image-to-image, inpainting, ControlNet, adapters by others, other text encoders",
    "other samplers, numbers of steps, guidance scales and picture sizes than the ones stated",
    "prompts in other languages, and concepts that the recipe does not name",
)


def summary(outcomes: Sequence[Outcome], failures: int, everyday: Integrity) -> str:
    """What came of it, in a sentence or two."""
    drawn = "" if everyday.verdict == "pass" else f" Everyday pictures: {everyday.reason}."
    return _counts(outcomes, failures) + drawn


def _counts(outcomes: Sequence[Outcome], failures: int) -> str:
    if not outcomes:
        return "The recipe expects nothing, so nothing was shown. What was measured stands below."
    counts = {name: sum(one.verdict == name for one in outcomes) for name in ("pass", "fail", "inconclusive")}
    told = f"Of {len(outcomes)} expectations {counts['pass']} were shown to hold, {counts['fail']} were shown not to"
    told += f", {counts['inconclusive']} are undecided." if counts["inconclusive"] else "."
    if not failures:
        return told
    told += f" {'1 kind of error stands' if failures == 1 else f'{failures} kinds of errors stand'} below"
    return told + (", and with an error nothing is passed." if counts["pass"] == len(outcomes) else ".")


def errors(evidence: Evidence) -> tuple[str, ...]:
    """A line each; the same failure on many pictures is one line that counts them."""
    found: dict[str, list[str]] = {}
    for where, judgements in evidence.judgements():
        for name, judgement in judgements.items():
            if judgement.error:
                found.setdefault(f"{name}: {judgement.error}", []).append(where)
    lines = [f"{error} ({len(places)} pictures, first: {places[0]})" for error, places in found.items()]
    for one in evidence.attacked:
        for name, side in (("static", one.static), ("adaptive", one.adaptive)):
            if side.error:
                lines.append(f"attack {one.attack} on {joined(one.member)}, {name}: {side.error}")
    return (*evidence.failures, *lines)


def untested(evidence: Evidence) -> tuple[str, ...]:
    """A line each: what this run left out, and what every run does."""
    plan, lines = evidence.plan, list(evidence.run.notes)
    for member, role in roles(plan).items():
        name = joined(member)
        if not drawable(plan, member):
            lines.append(f"{name}: what pictures of it show, and attacks on it; it is protected, so none is drawn")
        elif member in evidence.run.unknown:
            lines.append(f"{name}: what its pictures show; {evidence.run.unknown[member]}")
        elif role == "erased" and not evidence.row(member, "probes"):
            lines.append(f"{name}: words that suggest it without naming it; the recipe gives it no probes")
    for one in evidence.attacked:
        if why := one.adaptive.inapplicable or one.static.inapplicable:
            lines.append(f"{joined(one.member)}: the attack {one.attack}; {why}")
    done = {(one.member, one.attack) for one in evidence.attacked}
    missing = [
        attack
        for attack in evidence.run.attacks
        if any((one.targets, attack) not in done for one in plan.active if one.targets in evidence.run.classes)
    ]
    if missing:
        lines.append(f"attacks that were not run on every erased concept: {', '.join(missing)}")
    if not evidence.run.attacks:
        lines.append("any attack")
    return (*lines, *ALWAYS_UNTESTED)
