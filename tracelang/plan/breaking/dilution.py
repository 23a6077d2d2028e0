"""What lowers a measured share without any promise being less."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Label
from tracelang.plan.breaking.version import Version, renamed, within
from tracelang.plan.explain import member, said
from tracelang.plan.types import Assertion, Member
from tracelang.semantics.tables import METRICS

FIELDS = {"names": ("names", "templates"), "probes": ("probes",)}
"""Of what its pictures are, by the rows that a metric looks at."""


def diluted(before: Version, after: Version) -> list[Diagnostic]:
    """Notes on expectations that are counted over more texts of a concept, and over no more samples, than before.

    No promise is less, so they break nothing: whoever reviews the change knows whether the texts show the concept.
    """
    found = (_finding(before, after, *row) for row in _pairs(before, after))
    return [renamed(finding, *before.copied) for finding in found]


def _pairs(before: Version, after: Version) -> Iterator[tuple[Assertion, Assertion, Member, list[str]]]:
    told = set()
    for old in before.plan.expect:
        if not METRICS[old.metric].counted or old.suite is not None:
            continue
        for new in after.plan.expect:
            if (new.metric, new.attack, new.after) != (old.metric, old.attack, old.after) or new.samples > old.samples:
                continue
            for was in old.concepts:
                for now in new.concepts:
                    added = _added(before, after, old.metric, was, now)
                    if added and (old.metric, now) not in told:
                        told.add((old.metric, now))
                        yield old, new, now, added


def _added(before: Version, after: Version, metric: str, was: Member, now: Member) -> list[str]:
    """How many texts of each sort came to those concepts of which the metric counts pictures."""
    same = within(before, after, now, was)
    if not same and not (len(was) == len(now) == 1 and before.names(was[0]) <= after.names(now[0])):
        return []
    fields = [field for rows in METRICS[metric].rows for field in FIELDS.get(rows, ())]
    found = []
    for field in fields:
        older = {text.casefold() for name in was for text in getattr(before.plan.concept(name), field)}
        newer = {text.casefold() for name in now for text in getattr(after.plan.concept(name), field)}
        if older and (more := len(newer - older)) and older <= newer:
            found.append(f"{more} {field if more > 1 else field[:-1]}")
    return found


def _finding(
    before: Version, after: Version, old: Assertion, new: Assertion, names: Member, added: list[str]
) -> Diagnostic:
    here = after.here.asserted(new) or after.here.expect
    there = before.places.asserted(old) if before.places else None
    message = f"`{said(new)}` is measured over more texts of {member(names)}: {' and '.join(added)} more"
    help = f"raise `over {new.samples} samples`, or give them a concept of their own"
    note = "a text that hardly shows it lowers the share of all"
    also = (Label(there, "measured over fewer"),) if there is not None else ()
    return Diagnostic("TL426", "note", message, Label(here), also, help, note)
