"""A plan meets a model's config: exact tensors, windows on its clock, batches, cost, and every refusal. No weight is
read, and nothing is worked out a second time: the engine runs what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tracelang.plan.family import Clock, Facts, FamilyError, Site
from tracelang.plan.layers import SelectionError, select
from tracelang.plan.prompts import wordings
from tracelang.plan.protected import involved
from tracelang.plan.types import Plan
from tracelang.plan.windows import Interval, WindowError, in_logsnr, progress_at
from tracelang.semantics.fields import settings
from tracelang.semantics.kinds import Cost, Left, Met, Pass, begun, does, kinds
from tracelang.semantics.tables import DEFAULT_METHOD
from tracelang.semantics.values import Auto, Window

ENGINE = "tracelang.engine"
"""Where passes and terms are carried out, each by the file of its kind. Only the names of the files are read here."""


Refused = TypeVar("Refused", SelectionError, WindowError)


class BindError(ValueError):
    """A method that this model cannot carry out. One line: which pass, and why; `at` is that pass or its part."""

    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class BoundWindow:
    """A window as written and as this model's clock reads it: log-SNR, progress, and `times` in the clock's unit, each
    (noisier, cleaner). None: it is chosen for each concept when the plan is applied.
    """

    label: str
    window: Window | Auto
    logsnr: Interval | None
    progress: tuple[float, float] | None
    times: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class BoundPass:
    """One pass on this model: the matrices it changes, the windows of its terms and its own, what it meets, its cost.

    A window of its own goes by the name of its setting.
    """

    settings: Pass
    sites: tuple[Site, ...]
    terms: tuple[BoundWindow, ...]
    own: tuple[BoundWindow, ...]
    met: Met
    cost: Cost

    @property
    def label(self) -> str:
        return self.settings.label

    @property
    def kind(self) -> str:
        return self.settings.kind

    @property
    def windows(self) -> tuple[BoundWindow, ...]:
        return self.terms + self.own

    def window(self, setting: str) -> Interval | None:
        """What a setting of the pass that is a window means here; None where none is given, or not chosen yet."""
        return next((one.logsnr for one in self.own if one.label == setting), None)


@dataclass(frozen=True, slots=True)
class BoundPlan:
    """A plan bound to a model of `facts`."""

    plan: Plan
    facts: Facts
    passes: tuple[BoundPass, ...]

    @property
    def lasting(self) -> tuple[BoundPass, ...]:
        """The passes whose changes are there in the end."""
        return self.passes[begun([part.settings for part in self.passes]) :]

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every matrix that is changed in the end, in the model's order."""
        chosen = {site for part in self.lasting for site in part.sites}
        return tuple(site for site in self.facts.sites if site in chosen)


def bind(plan: Plan, facts: Facts) -> BoundPlan:
    """Bind `plan` to the model of which `facts` tell.

    Raises FamilyError where the recipe's `supports` leaves the family out, SelectionError where a selector matches
    nothing, WindowError where the clock cannot express a window, BindError where a pass cannot be carried out.
    """
    if plan.recipe.supports and facts.name not in plan.recipe.supports:
        supported = ", ".join(plan.recipe.supports)
        raise FamilyError(f"{facts.where}: this is a {facts.name} model; the recipe supports {supported}")
    _check_known(plan)
    _check_protected(plan)
    return BoundPlan(plan, facts, tuple(_passes(plan, facts)))


def _passes(plan: Plan, facts: Facts) -> Iterator[BoundPass]:
    before = Left()
    anchored = tuple(erasure.anchor is not None for erasure in plan.active)
    named = tuple(len(wordings(plan, erasure.targets)) for erasure in plan.active)
    degrees = tuple(erasure.degree for erasure in plan.active)
    for step in plan.method.passes:
        bound = _bound(step, facts, Met(anchored, len(plan.preserve), before, named=named, degrees=degrees))
        before = step.leaves(bound.met)
        yield bound


def _bound(step: Pass, facts: Facts, met: Met) -> BoundPass:
    clock = facts.clock
    terms = tuple(_window(term.label, term.during, clock, f"{step.label}.{term.label}.during") for term in step.terms)
    given = ((name, getattr(step, name)) for name, setting in settings(step).items() if setting.type == "window")
    own = tuple(_window(name, window, clock, f"{step.label}.{name}") for name, window in given if window is not None)
    sites = _selected(step, facts) if hasattr(step, "on") else ()
    mixed = {site.tensor: site.shape[1] for site in sites if site.reads is None}
    met = replace(
        met,
        mixed=mixed,
        tensors=tuple(site.tensor for site in sites),
        numbers=sum(site.size for site in sites),
        outside=tuple(site.tensor for site in sites if site.outside),
    )
    met = _counted(step, (*terms, *own), clock, met)
    if step.maps_states and mixed:
        raise BindError(
            f"{step.label}: {next(iter(mixed))} does not read prompt states alone; use `on prompt`", f"{step.label}.on"
        )
    return BoundPass(step, sites, terms, own, met, step.cost(met))


def settled(part: BoundPass, clock: Clock, chosen: Callable[[Auto], Window | None]) -> BoundPass:
    """The pass with windows in the place of those that were left open. A term for which there is none does not act.

    Raises BindError where the pass cannot be carried out with them, or has none for a setting of its own.
    """

    def of(one: BoundWindow) -> BoundWindow | None:
        if not isinstance(one.window, Auto):
            return one
        found = chosen(one.window)
        return None if found is None else _window(one.label, found, clock, f"{part.label}.{one.label}")

    terms, own = (tuple(filter(None, map(of, windows))) for windows in (part.terms, part.own))
    if len(own) < len(part.own):
        raise BindError(f"{part.label}: nothing lies before the chosen window, where `{part.own[0].label}` would end")
    acting = {one.label for one in terms}
    step = part.settings
    if len(acting) < len(part.terms):
        step = replace(step, terms=tuple(term for term in step.terms if term.label in acting))  # type: ignore[call-arg]
    return replace(part, settings=step, terms=terms, own=own, met=_counted(step, (*terms, *own), clock, part.met))


def _placed(error: Refused, address: str) -> Refused:
    """The error with the setting that it is of."""
    placed = type(error)(f"{address}: {error}")
    placed.at = address
    return placed


def _counted(step: Pass, windows: Sequence[BoundWindow], clock: Clock, met: Met) -> Met:
    """What the pass meets, with the sampler's steps that lie in its windows. One that is open may hold every step."""
    visited = clock.times(step.sampler_steps) if hasattr(step, "sampler_steps") else ()
    steps = [clock.logsnr(time) for time in visited]
    inside = {
        one.label: tuple(i for i, logsnr in enumerate(steps) if one.logsnr is None or logsnr in one.logsnr)
        for one in windows
    }
    met = replace(met, visited=len(steps), inside=inside)
    met = replace(met, shares=step.shares(met))
    for share in met.shares:
        why = share.term.problem(met)
        if why is not None:
            at = f"{step.label}.{share.term.label}"
            raise BindError(f"{at}: {why}", at)
    why = step.problem(met)
    if why is not None:
        raise BindError(f"{step.label}: {why}", step.label)
    return met


def _check_known(plan: Plan) -> None:
    """Refuse what the language knows and no engine carries out yet: no pass or term is dropped in silence."""
    passes, terms = kinds(f"{ENGINE}.passes"), kinds(f"{ENGINE}.terms")
    for step in plan.method.passes:
        parts = [(step.label, step, passes), *((f"{step.label}.{term.label}", term, terms) for term in step.terms)]
        for address, part, carried_out in parts:
            if part.kind not in carried_out:
                what = f"{address}: `{part.kind}` ({does(part)}) is not carried out yet"
                raise BindError(f"{what}; use a method without it, such as `{DEFAULT_METHOD}`", address)


def _check_protected(plan: Plan) -> None:
    """Whatever trains samples what it trains on: beside a protected concept there are closed forms alone."""
    name = involved(plan)
    sampling = [step for step in plan.method.passes if not step.closed_form]
    if name is not None and sampling:
        step = sampling[0]
        raise BindError(
            f"{step.label}: a `{step.kind}` pass would sample {name}, which is protected; "
            "use a method of closed forms alone, such as `method uce`",
            step.label,
        )


def _selected(step: Any, facts: Facts) -> tuple[Site, ...]:
    try:
        return select(step.on, facts.sites)
    except SelectionError as error:
        raise _placed(error, f"{step.label}.on") from None


def _window(label: str, window: Window | Auto, clock: Clock, address: str) -> BoundWindow:
    if isinstance(window, Auto):
        return BoundWindow(label, window, None, None, None)
    try:
        interval = in_logsnr(window, clock)
    except WindowError as error:
        raise _placed(error, address) from None
    progress = progress_at(interval.low, clock), progress_at(interval.high, clock)
    times = clock.time_at(interval.low), clock.time_at(interval.high)
    return BoundWindow(label, window, interval, progress, times)
