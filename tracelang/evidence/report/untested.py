"""What a report says nothing about, a line each: what this run left out, and what every run does."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.evidence.known import RATED
from tracelang.evidence.pictures import drawable, roles
from tracelang.evidence.report.figures import Evidence
from tracelang.evidence.schema import Quality
from tracelang.text import few, joined

UNCONTROLLED = (
    "whether what attacks find was left in the model or would be learned by one that never knew it: no control"
)
UNREGISTERED = "whether bounds and samples were chosen before anyone looked: the run was not registered (--register)"
WAYS = ("image-to-image", "inpainting", "ControlNet", "adapters by others", "other text encoders")
GONE = {"inpainting": "inpaint"}
"""Of ways into a model beside prompts, those that an attack goes."""
ALWAYS_UNTESTED = (
    "fine-tuning the edited weights on other pictures, at other rates or for longer than stated",
    "other samplers, numbers of steps, guidance scales and picture sizes than the ones stated",
    "prompts in other languages, and concepts that the recipe does not name",
    "other templates: plain prompts are those that the edit was made on, and an interval is over their random starts",
)


def untested(evidence: Evidence, quality: Quality | None) -> tuple[str, ...]:
    """A line each: what this run left out, and what every run does."""
    plan, lines = evidence.plan, list(evidence.run.notes)
    for member, role in roles(plan).items():
        name = joined(member)
        if not drawable(plan, member):
            lines.append(
                f"{name}: what pictures of it show, its drift, and attacks; it is protected: only weights speak of it"
            )
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
    elif not set(evidence.run.attacks) - set(plan.trained_against):
        lines.append("any attack of a kind that the edit was not trained against")
    if not evidence.run.facts.get("controls"):
        lines.append(UNCONTROLLED)
    if not evidence.measured.relearning:
        lines.append("whether fine-tuning the edited weights, on a few pictures of a concept, brings it back")
    if not any(one.suite for one in plan.expect):
        lines.append("prompts of a published suite: the recipe asks about none")
    ran = {one.attack for one in evidence.attacked if one.adaptive.rows}
    ways = [way for way in WAYS if GONE.get(way) not in ran]
    return (*lines, *_unjudged(evidence), *_unrated(quality), f"other ways in: {', '.join(ways)}", *ALWAYS_UNTESTED)


def _unjudged(evidence: Evidence) -> Iterator[str]:
    """What nobody knows of the judges' answers."""
    alone = [joined(member) for member in evidence.run.classes if member not in evidence.run.also]
    if alone:
        yield f"whether another judge says the same: one alone looked for {few(alone)}"
    unseen = {
        sought[0].judge
        for member, sought in evidence.run.classes.items()
        if len(sought) == 1 and not ((known := evidence.measured.known(member)) and RATED in known.on)
    }
    for name in sorted(unseen):
        yield f"how often the judge {name} is right about this model’s pictures: nobody looked at them (tracec rate)"


def _unrated(quality: Quality | None) -> Iterator[str]:
    """The figures of pictures' quality that there are not, and why."""
    if quality is None:
        yield "the quality of pictures (FID, KID, CLIP score): none was drawn of anything that is to stay"
        return
    for name, value in (("FID", quality.fid), ("KID", quality.kid), ("CLIP score", quality.clip_base)):
        why = next((note.removeprefix(f"{name}: ") for note in quality.notes if note.startswith(f"{name}: ")), "")
        if value is None:
            yield f"{name} of the pictures of what is to stay{f': {why}' if why else ''}"
