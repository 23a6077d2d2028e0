"""From a program to a plan: spans fall away, concepts get their final names, and everything unordered is sorted."""

from __future__ import annotations

from collections.abc import Callable

from tracelang.plan import types
from tracelang.plan.types import Plan
from tracelang.semantics import program as given
from tracelang.semantics.tables import METRICS

Rename = Callable[[given.Member], types.Member]


def lower(program: given.Program, source: given.File) -> Plan:
    """The plan of a program; `source` is the recipe file that it was compiled from."""
    names = concept_names(program)

    def rename(member: given.Member) -> types.Member:
        return tuple(sorted(names[key] for key in member))

    erase = [
        types.Erasure(
            targets=rename(one.targets),
            anchor=None if one.anchor is None else rename(one.anchor),
            away=one.away,
            degree=one.degree,
        )
        for one in program.erase
    ]
    preserve = [types.Preservation(concepts=rename(one.concepts), weight=one.weight) for one in program.preserve]
    return Plan(
        recipe=types.RecipeInfo.model_validate(program.header),
        concepts=tuple(sorted((_concept(one, names) for one in program.concepts.values()), key=lambda c: c.name)),
        erase=tuple(sorted(erase, key=lambda one: one.targets)),
        preserve=tuple(sorted(preserve, key=lambda one: one.concepts)),
        prior=tuple(one.prior for one in program.prior),
        method=types.Method(name=program.method.name, passes=program.method.passes),
        controls=tuple(
            types.Control.model_validate({"kind": one.kind, "models": one.models}) for one in program.controls
        ),
        expect=_expect(program.expect, rename),
        sources=tuple(types.Source(path=f.path, sha256=f.sha256, role=f.role) for f in (source, *program.files)),
    )


def concept_names(program: given.Program) -> dict[given.Key, str]:
    """A quoted concept goes by its text; where a declared concept has that name already, the quotes stay on."""
    names = {}
    for key in program.concepts:
        text = key[1:-1]
        quoted = key.startswith('"')
        names[key] = text if quoted and text not in program.concepts and not text.startswith('"') else key
    return names


def _concept(one: given.Concept, names: dict[given.Key, str]) -> types.Concept:
    return types.Concept.model_validate(
        {"name": names[one.key], "kind": one.kind, "names": one.names, "probes": one.probes, "templates": one.templates}
    )


def _expect(assertions: tuple[given.Assertion, ...], rename: Rename) -> tuple[types.Assertion, ...]:
    order = {name: i for i, name in enumerate(METRICS)}
    found = [
        types.Assertion.model_validate(
            {
                "metric": one.metric,
                "concepts": tuple(sorted(rename(member) for member in one.concepts)),
                "attack": one.attack,
                "suite": None if one.suite is None else _suite(one.suite, rename),
                "after": None if one.after is None else _after(one.after),
                "comparison": one.comparison,
                "bound": one.bound,
                "samples": one.samples,
                "seed": one.seed,
            }
        )
        for one in assertions
    ]
    unique = dict.fromkeys(found)
    return tuple(
        sorted(unique, key=lambda a: (order[a.metric], a.concepts, *_condition(a), a.samples, a.seed, a.bound))
    )


def _condition(one: types.Assertion) -> tuple[str, str, str, str, float]:
    after, suite = one.after, one.suite
    asked = f"{suite.reader} {suite.path}" if suite else ""
    return one.attack or "", asked, *((after.how, after.to, after.share or 0.0) if after else ("", "", 0.0))


def _suite(one: given.Suite, rename: Rename) -> types.Suite:
    rows = [
        types.SuiteRow(concept=concept, prompt=row.prompt, seed=row.seed, guidance=row.guidance)
        for member, found in one.rows
        for concept in rename(member)
        for row in found
    ]
    return types.Suite(path=one.path, reader=one.reader, rows=tuple(dict.fromkeys(rows)))


def _after(one: given.After) -> types.After:
    return types.After.model_validate({"how": one.how, "to": one.to, "share": one.share})
