"""Which expectations the chosen judges cannot decide, whatever the pictures show, and which judge would: told before
anything is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tracelang.evidence.accuracy import correct
from tracelang.evidence.accuracy import together as accuracy_of
from tracelang.evidence.expectations import why_hopeless
from tracelang.evidence.judges.kit import WORDS, plain
from tracelang.evidence.metrics import MEASURES
from tracelang.evidence.metrics.metric import Measured, Share, percent
from tracelang.evidence.panel import Panel
from tracelang.evidence.pictures import drawable
from tracelang.evidence.schema import Accuracy
from tracelang.evidence.verdicts import decide, rate
from tracelang.plan.explain import said
from tracelang.plan.types import Assertion, Member, Plan
from tracelang.semantics.tables import METRICS
from tracelang.text import joined


def undecided(plan: Plan, panel: Panel, accuracy: Mapping[tuple[str, str], Accuracy]) -> list[str]:
    """A line for each expectation that stays open by these judges."""
    return [line for _, line in left_open(plan, panel, accuracy)]


def left_open(
    plan: Plan, panel: Panel, accuracy: Mapping[tuple[str, str], Accuracy]
) -> Iterator[tuple[Assertion, str]]:
    """Each such expectation, with its line."""
    for one in plan.expect:
        for why in _why(one, plan, panel, accuracy):
            yield one, f"{said(one, 3)}: {why}"


def _why(one: Assertion, plan: Plan, panel: Panel, accuracy: Mapping[tuple[str, str], Accuracy]) -> Iterator[str]:
    drawn = [member for member in one.concepts if drawable(plan, member)]
    lost = [member for member in drawn if member not in panel.classes]
    if METRICS[one.metric].judged and lost:
        few = ", ".join(joined(member) for member in lost[:3]) + (", …" if len(lost) > 3 else "")
        names = ", ".join(judge.card.name for judge in panel.judges) or "there is none"
        yield (
            f"no chosen judge ({names}) knows {len(lost)} of its {len(one.concepts)} concepts ({few}), so it stays "
            f"undecided; {_remedy(plan, lost)}"
        )
        return
    measure = MEASURES[one.metric]
    if not isinstance(measure, Share) or not measure.looked or why_hopeless(one) or not drawn:
        return
    known = Measured(plan, panel.classes, panel.unknown, {}, accuracy=accuracy)
    figures = accuracy_of([known.known(member) for member in drawn])
    n = one.samples * len(one.concepts)
    best = correct(rate(0 if one.comparison == "<=" else n, n), figures, still=measure.looked == "shown before")
    if figures is None or best.corrected is None:
        return
    if best.corrected.note:
        yield f"{best.corrected.note} ({figures.label}), so it stays undecided; name a better judge"
    elif decide(best.corrected.low, best.corrected.high, one.comparison, one.bound) != "pass":
        end = best.corrected.high if one.comparison == "<=" else best.corrected.low
        yield (
            f"with what is known of its judge {n} pictures show at best {one.comparison} {percent(end)}; it cannot "
            "pass: draw more pictures, or name a judge that is right more often"
        )


def _remedy(plan: Plan, lost: Sequence[Member]) -> str:
    """The judge that would know what no chosen one does."""
    concepts = [plan.concept(name) for member in lost for name in member]
    kinds = {one.kind for one in concepts}
    if any(len(member) > 1 for member in lost):
        return "two concepts in one picture need a judge that names everything there is"
    if kinds == {"explicit"} and all(plain(word) in WORDS for one in concepts for word in one.names[:1]):
        return "--judge opennsfw or nudenet knows nudity"
    if kinds == {"identity"}:
        return "--judge faces=FOLDER knows people by their pictures, --judge clip=FOLDER by their names"
    return "--judge clip=FOLDER knows any words, two or more of a kind"
