"""A plan meets a model's config: exact tensors, windows on its clock, cost. No weight is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracelang.plan.family import Clock, Family, ModelError, Site
from tracelang.plan.layers import select
from tracelang.plan.types import FusePass, Pass, Plan, RefinePass, SteerPass, Window
from tracelang.plan.windows import Interval, lower


@dataclass(frozen=True, slots=True)
class BoundWindow:
    """A window as written and as this model's clock reads it: log-SNR, and `times` (noisier, cleaner) in its unit."""

    label: str
    window: Window
    logsnr: Interval
    times: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected work in rows through the denoiser: `frozen` (sampling, no gradient) and `trained` (with gradient)."""

    frozen: int
    trained: int


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
    family: Family
    folder: Path
    passes: tuple[BoundPass, ...]

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every matrix that some pass changes, in the model's order."""
        chosen = {site for part in self.passes for site in part.sites}
        return tuple(site for site in self.family.sites(self.folder) if site in chosen)


def bind(plan: Plan, family: Family, folder: Path) -> BoundPlan:
    """Bind `plan` to the model in `folder`.

    Raises ModelError where the recipe's `supports` leaves the family out, SelectionError where a selector matches
    nothing, WindowError where the clock cannot express a window.
    """
    if plan.recipe.supports and family.name not in plan.recipe.supports:
        supported = ", ".join(plan.recipe.supports)
        raise ModelError(f"{folder}: this is a {family.name} model; the recipe supports {supported}")
    sites, clock = family.sites(folder), family.clock(folder)
    return BoundPlan(plan, family, folder, tuple(_bound(plan, step, sites, clock) for step in plan.method.passes))


def _bound(plan: Plan, step: Pass, sites: Sequence[Site], clock: Clock) -> BoundPass:
    match step:
        case RefinePass():
            return BoundPass(step.label, step.kind, select(step.on, sites), (), Cost(0, 0))
        case SteerPass():
            windows = [_window(term.label, term.during, clock) for term in step.terms]
            if step.gate:
                windows.append(_window("gate", step.gate, clock))
            return BoundPass(step.label, step.kind, select(step.on, sites), tuple(windows), _cost(plan, step))
        case FusePass():
            return BoundPass(step.label, step.kind, (), (), Cost(0, 0))


def _window(label: str, window: Window, clock: Clock) -> BoundWindow:
    interval = lower(window, clock)
    times = clock.time_at(interval.low), clock.time_at(interval.high)
    return BoundWindow(label, window, interval, times)


def _cost(plan: Plan, step: SteerPass) -> Cost:
    """Sampling predicts with and without the prompt at every sampler step; a trained step is one batched pass."""
    erased = [erasure for erasure in plan.erase if erasure.degree > 0]
    parts = {(name,) for erasure in erased if len(erasure.targets) > 1 for name in erasure.targets}
    members = parts | {entry.concepts for entry in plan.preserve}
    kept = max(2 * step.trajectories, len(members)) if members else 0
    predictions = sum(step.trajectories * (3 if erasure.anchor else 2) for erasure in erased) + 2 * kept
    rows = 2 * step.batch + max(1, step.batch // 4)
    return Cost(predictions * step.sampler_steps if erased else 0, step.steps * len(erased) * rows)
