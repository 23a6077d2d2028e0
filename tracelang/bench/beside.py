"""A part's edits beside models that never knew what is erased: what each probe finds on every model, how fast each
learns it again, and the sentence that follows, worked out from the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tracelang.bench.results import Beyond, HalfLife, Learnt, Result, Share
from tracelang.bench.wording import number, percent, points
from tracelang.plan.types import Member
from tracelang.text import joined

WORDS = {"residue shown": "left", "none by this probe": "none", "open": "open", "not compared": "not compared"}
LEGEND = """\
Each probe is tried on every model with the same targets, prompts, seeds and budgets; an attack is made against \
each anew. *base*, *never*, *random*: pictures that show it, in percent, on the model before the edit, on all that \
never knew it, on one that has learned nothing. Of each method: the same on its edit; how many points more than \
models that never knew it show, with the 95 % interval over targets and models; and what that says: **left** in \
the model, **none** of it by this probe, or open. *steps to half*: of training on five pictures of it, until half \
of what the base shows is back, with the 95 % interval over pictures; *over never's*: the edit's over that of the \
models that never knew it; *of a made-up thing*: the same of what no model ever saw, which has to be from 0.8 to \
1.25 for a comparison to be read.
"""


def section(tasks: Mapping[str, Mapping[str, Result]]) -> list[str]:
    """Tables and sentences of one model's results by task and method, concept by concept; nothing without controls."""
    text: list[str] = []
    for task, found in tasks.items():
        members = [one.member for some in map(_beyond, found.values()) for one in some]
        for member in dict.fromkeys(members):
            text += _concept(Path(task).stem, member, found)
    return [LEGEND, *text] if text else []


def _concept(task: str, member: Member, found: Mapping[str, Result]) -> list[str]:
    probed = {name: {one.how: one for one in _beyond(result) if one.member == member} for name, result in found.items()}
    learnt = {
        name: one for name, result in found.items() for one in _learnt(result) if one.member == member and one.models
    }
    title = joined(member) if joined(member) == task else f"{task}: {joined(member)}"
    text = [f"### {title}\n", _probes(probed)]
    if learnt:
        text.append(_relearnt(learnt))
    text += [f"- **{name}**: {sentence([*some.values()], learnt.get(name))}" for name, some in probed.items() if some]
    return [*text, "", _minutes(found)]


def _minutes(found: Mapping[str, Result]) -> str:
    """What each verification took; the first of a concept drew what the others found there."""
    spent = {name: one.outcome.spent for name, one in found.items()}
    told = [f"{name} {sum(one.verify.values()) / 60:.0f}" for name, one in spent.items() if one and one.verify]
    return f"Minutes of one core (or of the GPU) that verification took: {', '.join(told)}. {FOUND}\n" if told else ""


FOUND = "What base and controls gave the first of them, the others found."


def _probes(probed: Mapping[str, Mapping[str, Beyond]]) -> str:
    """A row for each probe: what it shows of base and controls,
    as the first method says that has it, and of each edit.
    """
    lines = [["probe", "base", "never", "random", *probed]]
    for how in dict.fromkeys(how for some in probed.values() for how in some):
        first = next(some[how] for some in probed.values() if how in some)
        never = (sum(hits for hits, _ in first.never), sum(n for _, n in first.never))
        named = how if how in ("names", "probes") else f"`{how}`"
        edits = [_edit(some[how]) if how in some else "–" for some in probed.values()]
        lines.append([named, _share(first.base), _share(never), _share(first.random), *edits])
    return _table(lines)


def _edit(one: Beyond) -> str:
    text = _share(one.edited)
    if one.value is not None and one.low is not None and one.high is not None:
        text += f": {points(one.value)} ({points(one.low)} to {points(one.high)})"
    word = WORDS.get(one.verdict, one.verdict)
    return f"{text}, {word if one.verdict == 'open' else f'**{word}**'}"


def _relearnt(learnt: Mapping[str, Learnt]) -> str:
    first = next(iter(learnt.values()))
    others = [name for name in first.models if name != "edited"]
    lines = [
        ["learnt again", *others, *learnt],
        [
            "steps to half",
            *(_half(first.models[name]) for name in others),
            *(_half(_own(one)) for one in learnt.values()),
        ],
        ["over never's", *[""] * len(others), *map(_ratio, learnt.values())],
        [
            "of a made-up thing",
            *[""] * len(others),
            *("–" if o.sham is None else number(o.sham) for o in learnt.values()),
        ],
    ]
    return _table(lines)


def _own(one: Learnt) -> HalfLife | None:
    return one.models.get("edited")


def _half(one: HalfLife | None) -> str:
    if one is None:
        return "–"
    text = number(one.steps) if one.reached else f"over {number(one.steps)}"
    if one.low is None:
        return text
    return (
        f"{text} ({number(one.low)} to {number(one.high)})"
        if one.high is not None
        else f"{text} (from {number(one.low)})"
    )


def _ratio(one: Learnt) -> str:
    word = WORDS.get(one.reading, one.reading)
    if one.ratio is None:
        return word
    text = f"{one.bound} {number(one.ratio)}" if one.bound else number(one.ratio)
    if one.low is not None or one.high is not None:
        ends = [*([f"from {number(one.low)}"] if one.low is not None else [])]
        ends += [f"to {number(one.high)}"] if one.high is not None else []
        text += f" ({' '.join(ends)})"
    return f"{text}, {word}"


def sentence(probed: Sequence[Beyond], learnt: Learnt | None) -> str:
    """What the probes and the training say together: what is left, what is not, and why the rest is open."""
    told = []
    left = [one.how for one in probed if one.verdict == "residue shown"]
    if left:
        told.append(f"it was left in the model, as {_listed(left)} show{'s' if len(left) == 1 else ''}")
    if learnt is not None and learnt.reading == "residue shown":
        told.append(f"{'and' if left else 'it was left in the model:'} {learnt.why}")
    if none := [one.how for one in probed if one.verdict == "none by this probe"]:
        told.append(f"nothing{' more' if told else ''} is left as far as {_listed(none)} can tell")
    for why, which in WHY.items():
        if some := [one.how for one in probed if one.verdict == "open" and _why(one) == which]:
            told.append(f"open by {_listed(some)}: {why}")
    if learnt is not None and learnt.reading == "none by this probe":
        told.append(f"learnt again, {learnt.why}")
    elif learnt is not None and learnt.reading != "residue shown":
        told.append(f"how fast it is learnt again leaves it open: {learnt.why}")
    text = "; ".join(told)
    return f"{text[:1].upper()}{text[1:]}."


WHY = {
    "it brings the thing along by itself": "invalid",
    "the base shows too little more than models that never knew it": "powerless",
    "less is shown than by models that never knew it, which is damage or refusal": "less",
    "more is shown than by models that never knew it, and beyond chance only where it is read alone": "alone",
    "more targets would decide": "few",
    "not measured": "unmeasured",
}


def _why(one: Beyond) -> str:
    """Why a probe is open."""
    if one.valid is False:
        return "invalid"
    if one.powered is False:
        return "powerless"
    if one.value is None or one.high is None:
        return "unmeasured"
    return "less" if one.high < 0 else "alone" if one.low is not None and one.low > 0 else "few"


def _beyond(result: Result) -> Sequence[Beyond]:
    return result.outcome.found.beyond if result.outcome.found else ()


def _learnt(result: Result) -> Sequence[Learnt]:
    return result.outcome.found.learnt if result.outcome.found else ()


def _share(found: Share | None) -> str:
    return f"{percent(found[0] / found[1])} ({found[1]:,})" if found and found[1] else "–"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def _table(lines: Sequence[Sequence[str]]) -> str:
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"
