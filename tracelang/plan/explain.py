"""From a plan back to a recipe with every default spelled out; compiling that text gives the same digest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import Protocol

from tracelang.plan import types
from tracelang.plan.layers import render
from tracelang.plan.types import Plan
from tracelang.semantics.fields import settings
from tracelang.semantics.kinds import Pass, Term
from tracelang.semantics.prior import PRIOR
from tracelang.semantics.tables import HEADER, METRICS
from tracelang.semantics.values import Auto, Difference, GlobSites, InPlaces, ReadsSites, RoleSites, Union, Window
from tracelang.syntax.text import quote
from tracelang.text import joined

_NAME = re.compile(r"[a-z][a-z0-9_]*")
WIDTH = 110


def explain(plan: Plan) -> str:
    """The text of a recipe that means this plan and leaves nothing unsaid."""
    parts = [
        [f"tracelang {plan.language}"],
        _header(plan),
        *(_concept(concept) for concept in plan.concepts),
        [erasure(one) for one in plan.erase],
        [f"preserve {member(one.concepts)} weight {number(one.weight)}" for one in plan.preserve],
        *map(_prior, plan.prior),
        _method(plan.method),
        [control(one) for one in plan.controls],
        *_expect(plan),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def number(value: float) -> str:
    """A number as the language writes it, exactly."""
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def percent(share: float) -> str:
    """A share in percent, so that reading it back gives the same float."""
    shifted = Decimal(repr(share)).scaleb(2)
    plain = format(shifted.normalize(), "f")
    return f"{plain if len(plain) <= 24 else f'{shifted.normalize():e}'}%"


def window(value: Window | Auto) -> str:
    """A window as the language writes it without a name."""
    if isinstance(value, Auto):
        return f"{'0%..' if value.part == 'before' else ''}auto {percent(value.share)}"
    if value.unit == "progress":
        return f"{percent(value.low)}..{percent(value.high)}"
    return f"{value.unit} {number(value.low)}..{number(value.high)}"


def _name(concept: str) -> str:
    """A plan's concept as a recipe refers to it; `prior` in quotes, for `preserve prior` may say something else."""
    if _NAME.fullmatch(concept) and concept != PRIOR:
        return concept
    return quote(concept[1:-1] if len(concept) > 1 and concept.startswith('"') and concept.endswith('"') else concept)


def member(names: types.Member) -> str:
    """One member of a set, as a recipe refers to it."""
    return joined(map(_name, names))


def _header(plan: Plan) -> list[str]:
    if plan.recipe == types.RecipeInfo():
        return []
    lines = [f"recipe {quote(plan.recipe.name)} {{"]
    for field, kind in HEADER.items():
        value = getattr(plan.recipe, field)
        if value:
            text = quote(value) if kind == "text" else ", ".join(value) if kind == "names" else value
            lines.append(f"  {field} = {text}")
    return [*lines, "}"]


def _concept(concept: types.Concept) -> list[str]:
    lines = [f"concept {_name(concept.name)} kind {concept.kind} {{"]
    lines += _texts("names", concept.names) + _texts("probes", concept.probes) + _texts("templates", concept.templates)
    return [*lines, "}"]


def _texts(field: str, texts: Iterable[str]) -> list[str]:
    """One entry, filled to the width of a page."""
    return _filled(f"  {field}", texts)


def _filled(head: str, texts: Iterable[str]) -> list[str]:
    """Texts behind a head; none where there is no text."""
    lines: list[str] = []
    line = head
    start = len(line)
    for text in texts:
        piece = f" {quote(text)},"
        if len(line) + len(piece) > WIDTH and len(line) > start:
            lines.append(line)
            line = " " * start
        line += piece
    return [*lines, line[:-1]] if len(line) > start else []


def erasure(one: types.Erasure) -> str:
    """The statement that erases it."""
    toward = "" if one.anchor is None else f" toward {member(one.anchor)}"
    return f"erase {member(one.targets)}{toward}{' away' if one.away else ''} degree {percent(one.degree)}"


def prior(one: types.Prior) -> str:
    """What a recipe calls it; of given prompts the first, and how many more there are."""
    first = "".join(f" {quote(text)}" for text in one.prompts[:1])
    return f"prior{first}" + (f" and {len(one.prompts) - 1:,} more" if len(one.prompts) > 1 else "")


def _prior(one: types.Prior) -> list[str]:
    values = written(one)
    weight = values.pop("weight")
    *lines, last = _filled("preserve prior", one.prompts) or ["preserve prior"]
    return [*lines, f"{last} weight {weight} {{ {_line(values)} }}"]


def _method(method: types.Method) -> list[str]:
    lines = [f"define method {method.name} {{"]
    for one in method.passes:
        label = "" if one.label == one.kind else f" as {one.label}"
        lines.append(f"  {one.kind}{label} {{")
        lines += (f"    {name} = {value}" for name, value in written(one).items())
        lines += (f"    {_term(term)}" for term in one.terms)
        lines.append("  }")
    return [*lines, "}", f"method {method.name}"]


def _term(term: Term) -> str:
    label = "" if term.label == term.kind else f" as {term.label}"
    values = written(term)
    during = values.pop("during")
    return f"{term.kind}{label} during {during} {{ {_line(values)} }}"


def _line(values: dict[str, str]) -> str:
    return "  ".join(f"{name} = {value}" for name, value in values.items())


def written(one: Pass | Term | types.Prior) -> dict[str, str]:
    """The settings of a pass, a term or a prior, as the language writes them."""
    return {name: setting(getattr(one, name), field.absent) for name, field in settings(one).items()}


def setting(value: object, absent: str) -> str:
    """A setting's value as the language writes it; `absent` is the word for None."""
    match value:
        case None | ():
            return absent
        case tuple():
            return ", ".join(value)
        case Window() | Auto():
            return window(value)
        case int() | float():
            return number(value)
        case str():
            return value
        case ReadsSites() | RoleSites() | GlobSites():
            return render(value)
        case InPlaces() | Difference() | Union():
            return f"({render(value)})"
        case _:
            raise TypeError(type(value))


def control(one: types.Control) -> str:
    """The statement that names it."""
    return f"control {one.kind}" + (f" = {', '.join(map(quote, one.models))}" if one.models else "")


def after(one: types.After) -> str:
    """What is done to the edited weights first, as an assertion says it."""
    return f"after {one.how} {one.to if one.share is None else percent(one.share)}"


def _expect(plan: Plan) -> Iterable[list[str]]:
    def terms(one: types.Assertion) -> tuple[int, int]:
        return one.samples, one.seed

    for (samples, seed), assertions in groupby(sorted(plan.expect, key=terms), key=terms):
        lines = [f"expect over {samples} samples seed {seed} {{"]
        for one in assertions:
            lines.append(f"  {said(one)}")
        yield [*lines, "}"]


class Asserted(Protocol):
    """A plan's assertion, or what became of it."""

    @property
    def metric(self) -> str: ...
    @property
    def concepts(self) -> tuple[types.Member, ...]: ...
    @property
    def attack(self) -> str | None: ...
    @property
    def on(self) -> str: ...
    @property
    def after(self) -> types.After | None: ...
    @property
    def comparison(self) -> str: ...
    @property
    def bound(self) -> float: ...


def said(one: Asserted, most: int | None = None) -> str:
    """An assertion as a recipe writes it, `attack(nudity, p4d) <= 10%`; of more than `most` concepts, those and `…`."""
    return f"{asserted(one, most)} {one.comparison} {bound(one)}"


def asserted(one: Asserted, most: int | None = None) -> str:
    """What an assertion is about: `attack(nudity, p4d)`, `shown(dog) after round int8`."""
    named = [member(names) for names in one.concepts[:most]]
    more = ["…"] if len(named) < len(one.concepts) else []
    what = f"{one.metric}({', '.join([*named, *more, *([one.attack] if one.attack else [])])})"
    return " ".join([what, *([one.on] if one.on else []), *([after(one.after)] if one.after else [])])


def bound(one: Asserted) -> str:
    """An assertion's bound: a score as it is, a share or a ratio in percent."""
    return number(one.bound) if METRICS[one.metric].scale == "score" else percent(one.bound)
