"""What is erased and preserved: concepts, degrees, weights, and the texts of concepts."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Span
from tracelang.plan.breaking.version import Version, less, weakest
from tracelang.plan.explain import erasure, member, number, percent
from tracelang.plan.explain import prior as called
from tracelang.plan.protected import guard
from tracelang.plan.types import Erasure, Member, Prior
from tracelang.semantics.fields import settings
from tracelang.syntax import tree
from tracelang.syntax.text import quote

SHOWN = 10
"""How many concepts a remedy writes out."""
LOST = {"name": "TL418", "probe": "TL422", "template": "TL424"}


def protected(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Words that nobody might draw, and that speak of nothing protected now: of another kind, gone, or renamed."""
    wall = guard(after.plan)
    for old in before.plan.concepts:
        words = (*old.names, *old.probes) if old.kind == "protected" else ()
        free = tuple(text for text in words if wall is None or wall.of(text) is None)
        if not free:
            continue
        name = member((old.name,))
        new = next((one for one in after.plan.concepts if one.name == old.name), None)
        if new is not None and new.kind == "protected":
            message, now = f"{name} no longer protects {_list(free)}", _list(new.names)
            help = f"add {_list(free)} to its `names`"
        else:
            message = f"{name} is no longer protected"
            now = f"kind {new.kind}" if new is not None else "no such concept"
            help = "declare it `kind protected` again"
        here = after.here.concept(old.name) or after.here.start
        there = before.places.concept(old.name) if before.places else None
        yield less("TL425", message, help, here, there, "protected", now)


def erase(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Targets that are erased no longer, or to a lower degree."""
    active = [(one.targets, one) for one in after.plan.active]
    gone: dict[Span | None, list[Erasure]] = {}
    for old in before.plan.active:
        name = member(old.targets)
        there = before.places.erased(old.targets) if before.places else None
        new = weakest(before, after, old.targets, active, lambda one: one.degree)
        if new is None:
            gone.setdefault(there, []).append(old)
            continue
        if new.degree < old.degree:
            was, now = percent(old.degree), percent(new.degree)
            here = after.here.erased(new.targets) or after.here.start
            message = f"{name} is erased to a lower degree: {now} instead of {was}"
            yield less("TL411", message, f"write `degree {was}` or more", here, there, f"degree {was}", now)
    for there, lost in gone.items():
        old = lost[0]
        here = after.here.erased(old.targets) or after.here.concept(old.targets[0]) or after.here.last(tree.Erase)
        message = f"{_and_more([one.targets for one in lost])} no longer erased"
        again = f"write `erase {_written(before, [one.targets for one in lost])}`"
        yield less("TL410", message, again, here, there, erasure(old), "not erased")


def names(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Names that a concept had when it was erased or preserved, and that no concept in the same role has now."""
    for role, (was, now) in _roles(before, after).items():
        known: set[str] = set().union(*(after.names(targets[0]) for targets in now if len(targets) == 1))
        still = {name for targets in now for name in targets}
        for concept in dict.fromkeys(name for targets in was for name in targets if name in still):
            texts = before.plan.concept(concept).names
            gone = tuple(text for text in texts if text.casefold() not in known | after.names(concept))
            if gone:
                yield _lost(before, after, "name", [(concept, concept)], gone, role)


def probes(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Texts held out to test an erased concept, that test no erased concept now and are no name of one either."""
    was, now = _roles(before, after)["erased"]
    erased = dict.fromkeys(name for targets in now for name in targets)
    known: set[str] = set().union(*(after.names(name) for name in erased))
    known |= {text.casefold() for name in erased for text in after.plan.concept(name).probes}
    for concept, heir in _heirs(before, after, was, now):
        gone = tuple(text for text in before.plan.concept(concept).probes if text.casefold() not in known)
        if gone:
            yield _lost(before, after, "probe", [(concept, heir)], gone, "held out")


def templates(before: Version, after: Version) -> Iterator[Diagnostic]:
    """Templates in which a concept was erased or preserved, and is not now; one finding for all that lost the same."""
    for role, (was, now) in _roles(before, after).items():
        lost: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for concept, heir in _heirs(before, after, was, now):
            kept = after.plan.concept(heir).templates
            gone = tuple(text for text in before.plan.concept(concept).templates if text not in kept)
            if gone:
                lost.setdefault(gone, []).append((concept, heir))
        for gone, concepts in lost.items():
            yield _lost(before, after, "template", concepts, gone, role)


def _roles(before: Version, after: Version) -> dict[str, tuple[list[Member], list[Member]]]:
    """What each version erases, and what it preserves."""
    was, now = before.plan, after.plan
    return {
        "erased": ([one.targets for one in was.active], [one.targets for one in now.active]),
        "preserved": ([one.concepts for one in was.preserve], [one.concepts for one in now.preserve]),
    }


def _heirs(before: Version, after: Version, was: list[Member], now: list[Member]) -> Iterator[tuple[str, str]]:
    """Each concept of a role with the one that has its place in the newer version, if there is one."""
    still = {name for targets in now for name in targets}
    for concept in dict.fromkeys(name for targets in was for name in targets):
        if concept in still:
            yield concept, concept
        elif (concept,) in was and (heir := weakest(before, after, (concept,), [(one, one) for one in now], len)):
            yield concept, heir[0]


def _lost(
    before: Version, after: Version, what: str, concepts: list[tuple[str, str]], gone: tuple[str, ...], was: str
) -> Diagnostic:
    """A finding about texts that concepts had, and that the ones in their place do not have."""
    (concept, heir), *more = concepts
    texts, field = _list(gone), f"{what}s"
    here = after.here.concept(heir) or after.here.start
    there = before.places.concept(concept) if before.places else None
    name = member((concept,)) + (f" (and {len(more)} more)" if more else "")
    message = f"{name} {'have' if more else 'has'} lost the {what if len(gone) == 1 else field} {texts}"
    has = _list(getattr(after.plan.concept(heir), field)) or f"no {field}"
    help = f"add {texts} to {'their' if more else 'its'} `{field}`"
    return less(LOST[what], message, help, here, there, f"{texts} {was}", has)


def _list(texts: tuple[str, ...]) -> str:
    return ", ".join(quote(text) for text in texts)


def preserve(before: Version, after: Version) -> Iterator[Diagnostic]:
    """What is preserved no longer, or with a lower weight."""
    entries = [(one.concepts, one) for one in after.plan.preserve]
    erased = {one.targets for one in after.plan.active}
    together = [one.targets for one in before.plan.active if len(one.targets) > 1]
    gone: dict[tuple[Span | None, Member | None], list[Member]] = {}
    for old in before.plan.preserve:
        name = member(old.concepts)
        there = before.places.preserved(old.concepts) if before.places else None
        new = weakest(before, after, old.concepts, entries, lambda one: one.weight)
        if new is None:
            pair = next((one for one in together if old.concepts in erased and set(old.concepts) < set(one)), None)
            gone.setdefault((there, pair), []).append(old.concepts)
            continue
        if new.weight < old.weight:
            was, now = f"weight {number(old.weight)}", f"weight {number(new.weight)}"
            here = after.here.preserved(new.concepts) or after.here.start
            message = f"{name} is preserved with a lower weight: {number(new.weight)} instead of {number(old.weight)}"
            yield less("TL417", message, f"write `{was}` or more", here, there, was, now)
    for (there, pair), lost in gone.items():
        here = after.here.erased(lost[0]) or after.here.concept(lost[0][0]) or after.here.last(tree.Preserve)
        again = f"preserve {_written(before, lost)}" if pair is None else f"erase {before.written(pair)}"
        message = f"{_and_more(lost)} no longer preserved"
        yield less("TL416", message, f"write `{again}`", here, there, "preserved", "not preserved")


def _and_more(members: list[Member]) -> str:
    """The subject of a sentence about what one statement promised."""
    more = f" (and {len(members) - 1:,} more)" if len(members) > 1 else ""
    return f"{member(members[0])}{more} {'are' if more else 'is'}"


def _written(version: Version, members: list[Member]) -> str:
    return ", ".join(version.written(one) for one in members[:SHOWN]) + (", …" if len(members) > SHOWN else "")


def prior(before: Version, after: Version) -> Iterator[Diagnostic]:
    """A prior that is gone, or holds less: fewer prompts, or with a lower weight."""
    for old in before.plan.prior:
        there = before.places.prior(old.prompts) if before.places else None
        same = [one for one in after.plan.prior if one.kind == old.kind and set(one.prompts) >= set(old.prompts)]
        if not same:
            message, again = f"the {called(old)} is no longer preserved", f"write `{_prior(old)}`"
            yield less("TL416", message, again, after.here.last(tree.Preserve), there, "preserved", "not preserved")
            continue
        new = max(same, key=lambda one: one.weight)
        here = after.here.prior(new.prompts) or after.here.start
        for name, field in settings(old).items():
            was, now = getattr(old, name), getattr(new, name)
            if field.more and now < was:
                code, message = "TL417" if name == "weight" else "TL419", f"`{name}` of the {called(old)} is lower"
                message = f"{message}: {number(now)} instead of {number(was)}"
                again = f"{_prior(old)} weight" if name == "weight" else f"{name} ="
                help = f"write `{again} {number(was)}` or more"
                yield less(code, message, help, here, there, number(was), number(now))


def _prior(one: Prior) -> str:
    """The statement, of several prompts the beginning."""
    first = "".join(f" {quote(text)}" for text in one.prompts[:1])
    return f"preserve prior{first}{', …' if len(one.prompts) > 1 else ''}"
