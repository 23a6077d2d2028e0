"""What no judge that is installed can decide of a plan's expectations, as findings with the place in the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Findings, Source, Span

if TYPE_CHECKING:
    from tracelang.api import Bound
    from tracelang.plan.types import Assertion, Plan
    from tracelang.semantics.program import Assertion as Given


def undecided_of(bound: Bound, recipe: str, params: Mapping[str, str], root: Path | None) -> list[Diagnostic]:
    """A warning for each expectation that `verify` would leave open without `--judge`. Nothing where its packages are
    not there: `doctor` says so.
    """
    if not bound.plan.expect:
        return []
    try:
        from tracelang.evidence.artifact import embedded_name
        from tracelang.evidence.decidable import left_open
        from tracelang.evidence.known import accuracies
        from tracelang.evidence.panel import panel
    except ModuleNotFoundError:
        return []
    chosen = panel(bound.plan, (), embedded_name(bound.folder))
    report = Findings()
    for one, line in left_open(bound.plan, chosen, accuracies(chosen.cards, ())):
        span = _written(bound.plan, recipe, params, root).get(one, Span(Source(recipe, ""), 0, 0))
        report.warning("TL609", line, span, help="give `verify` a judge that can, or expect what one can see")
    return report.in_order()


def _written(plan: Plan, recipe: str, params: Mapping[str, str], root: Path | None) -> dict[Assertion, Span]:
    """Where a recipe's expectations stand. Of what was read from elsewhere nothing is known."""
    if recipe == "-" or recipe.endswith(".json"):
        return {}
    from tracelang.plan.compile import located

    resolution = located(Path(recipe), root=root, params=params, shown=recipe)
    assert resolution is not None
    concepts = resolution.program.concepts
    spans = {_key(one, lambda name: concepts[name].names[0]): one.span for one in resolution.program.expect}
    return {one: spans[_key(one, lambda name: plan.concept(name).names[0])] for one in plan.expect}


def _key(one: Assertion | Given, called: Callable[[str], str]) -> tuple[object, ...]:
    """What tells assertions apart, in a recipe and in its plan: concepts by their first name."""
    members = frozenset(tuple(sorted(map(called, member))) for member in one.concepts)
    after = one.after and (one.after.how, one.after.to, one.after.share)
    return one.metric, one.attack, members, after, one.comparison, one.bound, one.samples, one.seed
