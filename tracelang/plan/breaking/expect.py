"""What the expectations promise: bounds, of whom, and from how many samples."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Span
from tracelang.plan.breaking.version import Version, less, within
from tracelang.plan.explain import after as after_
from tracelang.plan.explain import bound, member, said
from tracelang.plan.types import After, Assertion, Member, SuiteRow
from tracelang.semantics.tables import METRICS


def expect(before: Version, after: Version) -> Iterator[Diagnostic]:
    """An assertion holds on if each member of its set is still under one of the same sort that is as strict and sure.

    Fewer samples leave a wider interval: a model that breaks its promise is found out less surely. Another seed draws
    other samples, no fewer.
    """
    for old in before.plan.expect:
        gone: list[Member] = []
        looser: dict[Assertion, None] = {}
        fewer: dict[Assertion, None] = {}
        alike = [one for one in after.plan.expect if _sort(one) == _sort(old) and _asks(one, old)]
        for names in old.concepts:
            found = _covers(before, after, names, alike)
            strict = [one for one in found if _slack(one) <= _slack(old)]
            if not found:
                gone.append(names)
            elif not strict:
                looser[min(found, key=lambda one: (_slack(one), -one.samples))] = None
            elif not any(_samples(one) >= _samples(old) for one in strict):
                fewer[max(strict, key=lambda one: one.samples)] = None
        if gone:
            yield _gone(before, after, old, gone)
        for one in looser:
            here, there = _where(before, after, old, one)
            help = f"write `{old.comparison} {bound(old)}` or a stricter bound"
            message = f"an expectation is looser: `{said(one)}` instead of `{said(old)}`"
            yield less("TL414", message, help, here, there, said(old), said(one))
        for one in fewer:
            here, there = _where(before, after, old, one)
            here = after.here.block(here)
            was, now = f"{old.samples} samples", f"{one.samples} samples"
            message = f"`{said(one)}` is expected over fewer samples: {one.samples} instead of {old.samples}"
            help = f"write `expect over {was}` or more"
            yield less("TL421", message, help, here, there, f"over {was}", f"over {now}")


def _covers(before: Version, after: Version, old: Member, alike: list[Assertion]) -> list[Assertion]:
    """Those about the same concepts or fewer of them together, else about a concept that has all the names."""
    found = [(names, one) for one in alike for names in one.concepts]
    same = [one for names, one in found if within(before, after, names, old)]
    if same or len(old) > 1:
        return same
    return [one for names, one in found if len(names) == 1 and before.names(old[0]) <= after.names(names[0])]


def _sort(one: Assertion) -> tuple[str, str | None, After | None, str]:
    """Of weights that are rounded or merged otherwise, or not at all, nothing is said by an assertion about others."""
    return one.metric, one.attack, one.after, one.comparison


def _asks(one: Assertion, old: Assertion) -> bool:
    """Whether a suite's prompts are all still among those that are asked, wherever its files lie."""
    if old.suite is None or one.suite is None:
        return old.suite is one.suite
    return {_row(row) for row in old.suite.rows} <= {_row(row) for row in one.suite.rows}


def _row(row: SuiteRow) -> tuple[str, int | None, float | None]:
    return row.prompt, row.seed, row.guidance


def _slack(one: Assertion) -> float:
    """How loose a bound is."""
    return one.bound if one.comparison == "<=" else -one.bound


def _samples(one: Assertion) -> int:
    return 0 if METRICS[one.metric].source == "weights" else one.samples  # read off weights and states: none is drawn


def _gone(before: Version, after: Version, old: Assertion, gone: list[Member]) -> Diagnostic:
    partly = len(gone) < len(old.concepts)
    about = ", ".join(member(names) for names in gone)
    clauses = "".join(f" {one}" for one in (old.on, after_(old.after) if old.after else "") if one)
    what = f"{old.metric}{clauses}"
    message = f"{what} is no longer asserted of {about}" if partly else f"`{said(old)}` is no longer expected"
    here, there = _where(before, after, old, old)
    again = ", ".join([*(before.written(names) for names in gone), *([old.attack] if old.attack else [])])
    help = f"write `{old.metric}({again}){clauses} {old.comparison} {bound(old)}`"
    return less("TL415", message, help, here, there, said(old), f"nothing about {about}")


def _where(before: Version, after: Version, old: Assertion, new: Assertion) -> tuple[Span, Span | None]:
    """Where the newer version asserts one of the two, and the older one the other."""
    here = after.here.asserted(new) or after.here.expect
    return here, before.places.asserted(old) if before.places else None
