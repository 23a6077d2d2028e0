"""What differs between two plans, part by part. Plans with one digest have no changes, and the other way round."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TypeVar

from tracelang.plan import types
from tracelang.plan.explain import asserted, bound, erasure, member, number, percent, prior, written
from tracelang.plan.types import Plan
from tracelang.semantics.kinds import Pass, Term
from tracelang.semantics.tables import HEADER
from tracelang.syntax.text import quote

Sign = Literal["+", "-", "~"]
Part = Literal["header", "concept", "erase", "preserve", "method", "control", "expect"]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `field` of `subject` went from `before` to `after`, both as the language writes them.

    `+` and `-`: it came or went, with all of it in `after` or `before`. An empty `field`: the subject itself.
    """

    sign: Sign
    part: Part
    subject: str
    field: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        head = " ".join(word for word in (self.sign, self.part, self.subject) if word)
        if self.sign == "~":
            return f"{head}{':' * bool(self.field)} {self.field} {self.before} -> {self.after}".replace("  ", " ")
        words = " ".join(word for word in (self.field, self.before or self.after) if word)
        return f"{head}: {words}" if words and self.field else f"{head} {words}".rstrip()


def changes(before: Plan, after: Plan) -> tuple[Change, ...]:
    """Every difference in meaning, in the order of a recipe."""
    return tuple(
        chain.from_iterable(
            one(before, after) for one in (_header, _concepts, _erase, _preserve, _method, _controls, _expect)
        )
    )


def _header(before: Plan, after: Plan) -> Iterator[Change]:
    def shown(plan: Plan) -> dict[str, str]:
        values = {field: getattr(plan.recipe, field) for field in HEADER}
        texts = {
            field: quote(value) if HEADER[field] == "text" else value if isinstance(value, str) else ", ".join(value)
            for field, value in values.items()
            if value
        }
        return {**({"name": quote(plan.recipe.name)} if plan.recipe.name else {}), **texts}

    yield from _fields("header", "", shown(before), shown(after))


def _concepts(before: Plan, after: Plan) -> Iterator[Change]:
    for old, new in _paired(before.concepts, after.concepts, lambda one: one.name):
        if old is None or new is None:
            yield _whole("concept", member(((new or old).name,)), "", new is not None)  # type: ignore[union-attr]
            continue
        name = member((new.name,))
        yield from _fields("concept", name, {"kind": old.kind}, {"kind": new.kind})
        for field in ("names", "probes", "templates"):
            yield from _texts(name, field, getattr(old, field), getattr(new, field))


def _texts(concept: str, field: str, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[Change]:
    gone, come = [text for text in old if text not in new], [text for text in new if text not in old]
    yield from (Change("-", "concept", concept, field, before=quote(text)) for text in gone)
    yield from (Change("+", "concept", concept, field, after=quote(text)) for text in come)
    stay = [text for text in old if text in new]
    if stay != [text for text in new if text in old]:
        yield Change("~", "concept", concept, f"order of {field}", _list(old), _list(new))
    elif (gone or come) and stay and old[0] != new[0] and field == "names":
        yield Change("~", "concept", concept, "canonical name", quote(old[0]), quote(new[0]))


def _list(texts: Iterable[str]) -> str:
    return ", ".join(quote(text) for text in texts)


def _erase(before: Plan, after: Plan) -> Iterator[Change]:
    def shown(one: types.Erasure) -> dict[str, str]:
        anchor = "away" if one.away else f"toward {member(one.anchor)}" if one.anchor else "toward the neutral state"
        return {"anchor": anchor, "degree": percent(one.degree)}

    for old, new in _paired(before.erase, after.erase, lambda one: one.targets):
        if old is not None and new is not None:
            yield from _fields("erase", member(new.targets), shown(old), shown(new))
        elif (one := new or old) is not None:
            name = member(one.targets)
            yield _whole("erase", name, erasure(one).removeprefix(f"erase {name} "), new is not None)


def _preserve(before: Plan, after: Plan) -> Iterator[Change]:
    for old, new in _paired(before.preserve, after.preserve, lambda one: one.concepts):
        if old is not None and new is not None:
            weights = ({"weight": number(one.weight)} for one in (old, new))
            yield from _fields("preserve", member(new.concepts), *weights)
        elif (one := new or old) is not None:
            yield _whole("preserve", member(one.concepts), f"weight {number(one.weight)}", new is not None)
    for held, now in _paired(before.prior, after.prior, lambda one: one.prompts):
        if held is not None and now is not None:
            yield from _fields("preserve", prior(now), written(held), written(now))
        elif (whole := now or held) is not None:
            yield _whole("preserve", prior(whole), f"weight {number(whole.weight)}", now is not None)


def _method(before: Plan, after: Plan) -> Iterator[Change]:
    """Settings by address; a pass or a term that came or went is one change."""
    yield from _fields("method", "", {"name": before.method.name}, {"name": after.method.name})
    yield from _steps("passes", "", before.method.passes, after.method.passes)
    for old, new in _paired(before.method.passes, after.method.passes, _step):
        if old is None or new is None:
            continue
        yield from _settings(old.label, old, new)
        yield from _steps("terms", f"{old.label}.", old.terms, new.terms)
        for one, other in _paired(old.terms, new.terms, _step):
            if one is not None and other is not None:
                yield from _settings(f"{old.label}.{one.label}", one, other)


def _settings(address: str, old: Pass | Term, new: Pass | Term) -> Iterator[Change]:
    for field, (was, now) in _both(written(old), written(new)):
        yield Change("~", "method", f"{address}.{field}", "", was, now)


def _step(one: Pass | Term) -> Pair:
    return one.label, one.kind


def _steps(what: str, within: str, old: tuple[Pass | Term, ...], new: tuple[Pass | Term, ...]) -> Iterator[Change]:
    """Passes or terms that came or went, and whether those that stayed changed places."""
    ours, theirs = [_step(one) for one in old], [_step(one) for one in new]
    for signed, steps, others in (("-", ours, theirs), ("+", theirs, ours)):
        for label, kind in (step for step in steps if step not in others):
            name = f"{within}{label}" if label == kind else f"{within}{kind} as {label}"
            yield _whole("method", "", name, signed == "+", field=what)
    stayed = [label for label, kind in ours if (label, kind) in theirs]
    placed = [label for label, kind in theirs if (label, kind) in ours]
    if stayed != placed:
        yield Change("~", "method", within.rstrip("."), f"order of {what}", ", ".join(stayed), ", ".join(placed))


def _controls(before: Plan, after: Plan) -> Iterator[Change]:
    """A model that came or went, and their order where the same ones stayed: twins are told by their place."""
    for old, new in _paired(before.controls, after.controls, lambda one: one.kind):
        if old is not None and new is not None:
            for sign, models, others in (("-", old.models, new.models), ("+", new.models, old.models)):
                for name in (name for name in models if name not in others):
                    yield _whole("control", new.kind, quote(name), sign == "+", field="model")
            stayed = [name for name in old.models if name in new.models]
            if stayed != (placed := [name for name in new.models if name in old.models]):
                yield Change("~", "control", new.kind, "order of models", _list(stayed), _list(placed))
        elif (one := new or old) is not None:
            yield _whole("control", one.kind, _list(one.models), new is not None)


def _expect(before: Plan, after: Plan) -> Iterator[Change]:
    """An assertion about the same is one change, and so is one whose set alone changed, if it is the only such one."""
    old = [one for one in before.expect if one not in after.expect]
    new = [one for one in after.expect if one not in before.expect]
    for alike in (_about, _of_kind):
        for key in dict.fromkeys(map(alike, old)):
            ours, theirs = ([one for one in some if alike(one) == key] for some in (old, new))
            if len(ours) == len(theirs) == 1:
                old.remove(ours[0])
                new.remove(theirs[0])
                yield from _assertion(ours[0], theirs[0])
    for sign, left in (("-", old), ("+", new)):
        yield from (_whole("expect", asserted(one), _terms_of(one), sign == "+") for one in left)


def _about(one: types.Assertion) -> Hashable:
    return _of_kind(one), one.concepts


def _of_kind(one: types.Assertion) -> Hashable:
    return one.metric, one.attack, one.on, one.after, one.comparison


def _terms_of(one: types.Assertion) -> str:
    return f"{one.comparison} {bound(one)} over {one.samples} samples seed {one.seed}"


def _assertion(old: types.Assertion, new: types.Assertion) -> Iterator[Change]:
    subject = asserted(new)
    for sign, some, others in (("-", old, new), ("+", new, old)):
        for names in (names for names in some.concepts if names not in others.concepts):
            yield _whole("expect", new.metric, member(names), sign == "+", field="set")
    if old.concepts == new.concepts and old.suite != new.suite and old.suite and new.suite:
        rows = (f"{len(one.rows):,} ({_digest(one.rows)})" for one in (old.suite, new.suite))
        yield Change("~", "expect", subject, "prompts", *rows)
    fields = ({"bound": bound(one), "samples": str(one.samples), "seed": str(one.seed)} for one in (old, new))
    yield from _fields("expect", subject if old.concepts == new.concepts else new.metric, *fields)


def _digest(rows: Iterable[types.SuiteRow]) -> str:
    """Enough of a sha256 to tell two suites' prompts apart."""
    return hashlib.sha256("\n".join(row.model_dump_json() for row in rows).encode()).hexdigest()[:12]


Item = TypeVar("Item")


def _paired(
    old: Iterable[Item], new: Iterable[Item], key: Callable[[Item], Hashable]
) -> Iterator[tuple[Item | None, Item | None]]:
    """Items of both sides by their key, in the order of the new side, those that went at the end."""
    ours, theirs = {key(one): one for one in old}, {key(one): one for one in new}
    yield from ((ours.get(name), one) for name, one in theirs.items())
    yield from ((one, None) for name, one in ours.items() if name not in theirs)


def _both(ours: dict[str, str], theirs: dict[str, str]) -> Iterator[tuple[str, Pair]]:
    for field in dict.fromkeys([*ours, *theirs]):
        pair = ours.get(field, ""), theirs.get(field, "")
        if pair[0] != pair[1]:
            yield field, pair


def _fields(part: Part, subject: str, ours: dict[str, str], theirs: dict[str, str]) -> Iterator[Change]:
    for field, (was, now) in _both(ours, theirs):
        yield Change("~" if was and now else "+" if now else "-", part, subject, field, was, now)


def _whole(part: Part, subject: str, text: str, came: bool, field: str = "") -> Change:
    return Change("+", part, subject, field, after=text) if came else Change("-", part, subject, field, before=text)
