"""Expectations: a metric over a set, and the bound that has to hold."""

from __future__ import annotations

from math import isfinite
from typing import Literal

from tracelang.diagnostics import Label
from tracelang.diagnostics.diagnostic import did_you_mean, nearest
from tracelang.semantics.context import Context
from tracelang.semantics.fields import Field
from tracelang.semantics.numbers import bounded, scalar, share, worth
from tracelang.semantics.program import After, Assertion
from tracelang.semantics.scope import Scope
from tracelang.semantics.sets import members
from tracelang.semantics.tables import (
    AFTERS,
    ATTACKS,
    DEFAULT_SAMPLES,
    DEFAULT_SEED,
    MAX_SEED,
    METRICS,
    ROUNDINGS,
    Metric,
)
from tracelang.syntax import tree

SAMPLES = Field("integer", low=1, high=1_000_000)
SEED = Field("integer", low=0, high=MAX_SEED)


def expectations(context: Context, scope: Scope, node: tree.Expect) -> list[Assertion]:
    """The assertions of one block; those with a reported problem are left out."""
    samples, seed = DEFAULT_SAMPLES, DEFAULT_SEED
    seen: dict[type, tree.Samples | tree.Seed] = {}
    for option in node.options:
        word = "samples" if isinstance(option, tree.Samples) else "seed"
        if type(option) in seen:
            also = [Label(seen[type(option)].span, "first given here")]
            context.report.error("TL211", f"`{word}` is given twice", option.span, also=also, help="remove one")
            continue
        seen[type(option)] = option
        value = bounded(context, scope, option.number, SAMPLES if word == "samples" else SEED, f"`{word}`")
        if value is not None and word == "samples":
            samples = int(value)
        elif value is not None:
            seed = int(value)
    found = [_assertion(context, scope, one, samples, seed) for one in node.assertions]
    return [one for one in found if one is not None]


def _assertion(context: Context, scope: Scope, node: tree.Assertion, samples: int, seed: int) -> Assertion | None:
    name = node.metric.text
    metric = METRICS.get(name)
    if metric is None:
        help = did_you_mean(name, METRICS)
        context.report.error("TL207", f"no metric is called `{name}`", node.metric.span, help=help)
        return None
    if metric.comparison not in (None, node.comparison):
        message = f"`{name}` is bounded with {metric.comparison}"
        note = f"an expectation `{name}(…) {node.comparison} …` would pass for a model that was not edited well"
        help = f"write `{name}(…) {metric.comparison} …`"
        context.report.error("TL304", message, node.span, help=help, note=note)
        return None
    arguments, attack = _split(context, scope, node, metric)
    after = _after(context, scope, node, metric)
    if arguments is None or after is False:
        return None
    found = members(context, scope, arguments)
    bound = _bound(context, scope, node, metric)
    if found is None or bound is None:
        return None
    asked = None
    if node.suite is not None:
        from tracelang.semantics.suites.read import suite

        asked = suite(context, scope, node, node.suite, found, attack)
        if asked is None:
            return None
    return Assertion(
        name, tuple(sorted(found)), attack, asked, after or None, node.comparison, bound, samples, seed, node.span
    )


def attack_of(node: tree.Assertion) -> tuple[tree.Set, tree.Reference | None]:
    """The concepts of an assertion, and apart the attack that its last argument names, where its metric takes one."""
    metric, given = METRICS.get(node.metric.text), node.arguments
    last = given.members[-1] if isinstance(given, tree.Union) else None
    if metric is None or not isinstance(given, tree.Union) or not isinstance(last, tree.Reference):
        return given, None
    if metric.attack is None or (metric.attack == "may" and last.text not in ATTACKS):
        return given, None
    rest = given.members[:-1]
    return (rest[0] if len(rest) == 1 else tree.Union(rest, span=given.span)), last


def _split(context: Context, scope: Scope, node: tree.Assertion, metric: Metric) -> tuple[tree.Set | None, str | None]:
    """`attack(X, KIND)`: the last argument is the kind of attack, of some metrics where it is given."""
    name, given = node.metric.text, node.arguments
    concepts, kind = attack_of(node)
    if kind is None:
        first = given.members[0] if isinstance(given, tree.Union) else given
        alone = isinstance(first, tree.Reference) and first.text in ATTACKS and not scope.find("concept", first.text)
        if metric.attack is None or (metric.attack == "may" and not alone):
            return _mistyped(context, scope, given, metric), None
        help = f"write `{name}({given.span.text}, ring_a_bell)`"
        message = f"`{name}` needs a kind of attack after the concepts"
        if alone and isinstance(given, tree.Union):
            rest = ", ".join(member.span.text for member in given.members[1:])
            help = f"the kind stands last: `{name}({rest}, {first.span.text})`"
        elif alone:
            message, help = f"`{name}` needs concepts before the attack", f'write `{name}("…", {first.span.text})`'
        context.report.error("TL212", message, given.span, help=help)
        return None, None
    if kind.text not in ATTACKS:
        help = did_you_mean(kind.text, ATTACKS)
        context.report.error("TL207", f"no attack is called `{kind.text}`", kind.span, help=help)
        return None, None
    if metric.attack == "may" and scope.find("concept", kind.text):
        message = f"`{kind.text}` is an attack and a concept here, so this can be read in two ways"
        context.report.error("TL212", message, kind.span, help="give the concept another name, or name it first")
        return None, None
    return concepts, kind.text


def _mistyped(context: Context, scope: Scope, given: tree.Set, metric: Metric) -> tree.Set | None:
    """The concepts, unless the last is none that is known and nearly an attack."""
    last = given.members[-1] if isinstance(given, tree.Union) else None
    if metric.attack == "may" and isinstance(last, tree.Reference) and not scope.find("concept", last.text):
        near = nearest(last.text, ATTACKS)
        if near and last.parts[0].text not in scope.imports and last.text not in scope.missing:
            message = f"no attack and no concept is called `{last.text}`"
            context.report.error("TL207", message, last.span, help=f"did you mean `{near}`?")
            return None
    return given


def _after(context: Context, scope: Scope, node: tree.Assertion, metric: Metric) -> After | Literal[False] | None:
    """What is done to the weights first; False where that is reported."""
    if node.after is None:
        return None
    how, value = node.after.how.text, node.after.value
    if not metric.after:
        name = node.metric.text
        why = "draws no picture" if not metric.images else "is read against models that are not changed with the edit"
        if metric.images and not metric.control:
            why = "is no share of pictures"
        allowed = ", ".join(f"`{name}`" for name, one in METRICS.items() if one.after)
        message = f"`{name}` cannot be asked of changed weights: it {why}"
        context.report.error("TL305", message, node.after.span, help=f"`after` goes with {allowed}")
        return False
    if how == "round":
        if isinstance(value, tree.Reference) and value.text in ROUNDINGS:
            return After("round", value.text, None)
        help = did_you_mean(value.span.text, ROUNDINGS)
        message = f"no number format is called `{value.span.text}`"
        context.report.error("TL209", message, value.span, help=help)
        return False
    if how in AFTERS:
        part = share(context, scope, value, f"the strength of `{how}`")
        if part == 0:
            help = f"write a larger one, or remove `after {how}`"
            context.report.error("TL213", f"`{how}` at 0% changes nothing", value.span, help=help)
        return After(how, "", part) if part else False
    help = did_you_mean(how, AFTERS)
    context.report.error("TL209", f"weights cannot be changed by `{how}`", node.after.how.span, help=help)
    return False


def _bound(context: Context, scope: Scope, node: tree.Assertion, metric: Metric) -> float | None:
    number = scalar(context, scope, node.bound)
    if number is None:
        return None
    value = worth(number)
    if metric.scale == "score" and number.percent:
        message = f"`{node.metric.text}` is a score, not a share"
        context.report.error("TL212", message, node.bound.span, help=f"write `{number.text}`")
        return None
    low, high = {"share": (0.0, 1.0), "ratio": (0.0, float("inf"))}.get(metric.scale, (float("-inf"), float("inf")))
    if isfinite(value) and low <= value <= high:
        return value
    words = {"share": "between 0% and 100%", "ratio": "at least 0"}.get(metric.scale, "a finite number")
    help = f"write `{number.text}%`" if metric.scale == "share" and not number.percent and 1 < value <= 100 else ""
    context.report.error("TL213", f"the bound of `{node.metric.text}` is {words}", node.bound.span, help=help)
    return None
