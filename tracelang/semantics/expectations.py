"""Expectations: a metric over a set, and the bound that has to hold."""

from __future__ import annotations

from math import isfinite

from tracelang.diagnostics import Label
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.fields import Field
from tracelang.semantics.numbers import bounded, scalar, worth
from tracelang.semantics.program import Assertion
from tracelang.semantics.scope import Scope
from tracelang.semantics.sets import members
from tracelang.semantics.tables import ATTACKS, DEFAULT_SAMPLES, DEFAULT_SEED, MAX_SEED, METRICS, Metric
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
    arguments: tree.Set | None = node.arguments
    attack = None
    if name == "attack":
        arguments, attack = _split(context, node)
    if arguments is None:
        return None
    found = members(context, scope, arguments)
    bound = _bound(context, scope, node, metric)
    if found is None or bound is None:
        return None
    return Assertion(name, tuple(sorted(found)), attack, node.comparison, bound, samples, seed, node.span)


def _split(context: Context, node: tree.Assertion) -> tuple[tree.Set | None, str | None]:
    """`attack(X, KIND)`: the last argument is the kind of attack."""
    given = node.arguments
    kind = given.members[-1] if isinstance(given, tree.Union) else None
    if not isinstance(given, tree.Union) or not isinstance(kind, tree.Reference):
        help = f"write `attack({given.span.text}, ring_a_bell)`"
        if isinstance(given, tree.Union) and isinstance(given.members[0], tree.Reference):
            first = given.members[0].text
            if first in ATTACKS:
                concepts = ", ".join(member.span.text for member in given.members[1:])
                help = f"the kind stands last: `attack({concepts}, {first})`"
        context.report.error("TL212", "`attack` needs a kind of attack after the concepts", given.span, help=help)
        return None, None
    if kind.text not in ATTACKS:
        help = did_you_mean(kind.text, ATTACKS)
        context.report.error("TL207", f"no attack is called `{kind.text}`", kind.span, help=help)
        return None, None
    rest = given.members[:-1]
    return (rest[0] if len(rest) == 1 else tree.Union(rest, span=given.span)), kind.text


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
