"""A plan meets a model's config: exact tensors, windows on its clock, cost. No weight is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracelang.plan.counts import Cost, calibration, cost, problem, shares
from tracelang.plan.engines import carried_out
from tracelang.plan.family import Clock, Facts, ModelError, Site
from tracelang.plan.layers import select
from tracelang.plan.protected import involved
from tracelang.plan.types import Plan
from tracelang.plan.windows import Interval, lower, progress_at
from tracelang.semantics.kinds import Pass, Term, does
from tracelang.semantics.passes.fuse import Fuse
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.tables import DEFAULT_METHOD
from tracelang.semantics.values import Window


class BindError(ValueError):
    """A method that this model cannot carry out. One line: which pass, and why."""


@dataclass(frozen=True, slots=True)
class BoundWindow:
    """A window as written and as this model's clock reads it: log-SNR, progress, and `times` in the clock's unit, each
    (noisier, cleaner).
    """

    label: str
    window: Window
    logsnr: Interval
    progress: tuple[float, float]
    times: tuple[float, float]


@dataclass(frozen=True, slots=True)
class BoundPass:
    """One pass on this model: the matrices it changes, its windows, its cost."""

    label: str
    kind: str
    sites: tuple[Site, ...]
    windows: tuple[BoundWindow, ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class BoundPlan:
    """A plan bound to the model in `folder`."""

    plan: Plan
    family: Facts
    folder: Path
    passes: tuple[BoundPass, ...]

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every matrix that some pass changes, in the model's order."""
        chosen = {site for part in self.passes for site in part.sites}
        return tuple(site for site in self.family.sites(self.folder) if site in chosen)


def bind(plan: Plan, family: Facts, folder: Path) -> BoundPlan:
    """Bind `plan` to the model in `folder`.

    Raises ModelError where the recipe's `supports` leaves the family out, SelectionError where a selector matches
    nothing, WindowError where the clock cannot express a window, BindError where a pass cannot be carried out.
    """
    name = family.name(folder)
    if plan.recipe.supports and name not in plan.recipe.supports:
        supported = ", ".join(plan.recipe.supports)
        raise ModelError(f"{folder}: this is a {name} model; the recipe supports {supported}")
    _check_known(plan)
    _check_protected(plan)
    sites, clock = family.sites(folder), family.clock(folder)
    passes = tuple(_bound(plan, step, sites, clock) for step in plan.method.passes)
    return BoundPlan(plan, family, folder, _sequence(plan, passes))


def _bound(plan: Plan, step: Pass, sites: Sequence[Site], clock: Clock) -> BoundPass:
    match step:
        case Refine():
            chosen = select(step.on, sites)
            mixed = _mixed(chosen)
            if mixed is not None:
                raise BindError(f"{step.label}: {mixed} does not read prompt states alone; use `on prompt`")
            return BoundPass(step.label, step.kind, chosen, (), Cost(0, 0))
        case Steer():
            windows = [_window(term.label, term.during, clock) for term in step.terms]
            if step.gate:
                windows.append(_window("gate", step.gate, clock))
            why = problem(step, shares(step, clock, bool(plan.preserve)))
            if why is not None:
                raise BindError(why)
            chosen = select(step.on, sites)
            return BoundPass(step.label, step.kind, chosen, tuple(windows), cost(plan, step, clock))
        case Fuse():
            return BoundPass(step.label, step.kind, (), (), Cost(0, 0))
        case _:
            raise BindError(f"{step.label}: `{step.kind}` has no engine")


def _check_known(plan: Plan) -> None:
    """Refuse what the language knows and no engine carries out yet: no pass or term is dropped in silence."""
    for step in plan.method.passes:
        parts: list[tuple[str, Pass | Term]] = [(step.label, step)]
        parts += [(f"{step.label}.{term.label}", term) for term in step.terms]
        for address, one in parts:
            if not carried_out(one):
                what = f"{address}: `{one.kind}` ({does(one)}) is not carried out yet"
                raise BindError(f"{what}; use a method without it, such as `{DEFAULT_METHOD}`")


def _check_protected(plan: Plan) -> None:
    """Whatever trains samples what it trains on: beside a protected concept there are closed forms alone."""
    name = involved(plan)
    sampling = [step for step in plan.method.passes if not step.closed_form]
    if name is not None and sampling:
        step = sampling[0]
        raise BindError(
            f"{step.label}: a `{step.kind}` pass would sample {name}, which is protected; "
            "use a method of closed forms alone, such as `method uce`"
        )


def _sequence(plan: Plan, passes: Sequence[BoundPass]) -> tuple[BoundPass, ...]:
    """The passes, each `fuse` with what it costs here. Refuses two gates in one edit."""
    adapters, steered, gated, result = 0, list[Site](), False, list[BoundPass]()
    for step, bound in zip(plan.method.passes, passes, strict=True):
        if isinstance(step, Steer):
            if gated or (step.gate is not None and steered):
                raise BindError(f"{step.label}: one gated pass per method, and no other `steer` beside it")
            gated = step.gate is not None
            steered += bound.sites
            adapters += len(plan.active)
        elif isinstance(step, Fuse):
            if adapters > 1 and _mixed(steered) is not None:
                bound = replace(bound, cost=calibration(plan))
            adapters = min(adapters, 1)
        result.append(bound)
    return tuple(result)


def _mixed(sites: Sequence[Site]) -> str | None:
    """The first site that reads more than prompt states."""
    return next((site.tensor for site in sites if site.reads is None), None)


def _window(label: str, window: Window, clock: Clock) -> BoundWindow:
    interval = lower(window, clock)
    progress = progress_at(interval.low, clock), progress_at(interval.high, clock)
    times = clock.time_at(interval.low), clock.time_at(interval.high)
    return BoundWindow(label, window, interval, progress, times)
