"""Plans for tests, written as data."""

from __future__ import annotations

from typing import Any

from tests.engine.toy import ToyClock
from tracelang.engine import run as engine
from tracelang.engine import statements
from tracelang.engine.edit import Edit
from tracelang.engine.options import Options
from tracelang.engine.passes import fuse as fusing
from tracelang.engine.text_map import Constraints
from tracelang.plan.bind import BoundPass, BoundPlan, bind
from tracelang.plan.family import Facts
from tracelang.plan.types import Concept, Erasure, Method, Plan, Preservation, ReadsSites, RecipeInfo, Window
from tracelang.progress import Progress
from tracelang.semantics.kinds import TERMS, Term, declared
from tracelang.semantics.passes.fuse import Fuse
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer

WHOLE, EARLY, LATE = (Window(unit="progress", low=low, high=high) for low, high in ((0, 1), (0, 0.25), (0.25, 1)))


def refine(**changes: Any) -> Refine:
    settings: dict[str, Any] = {
        "label": "refine",
        "on": ReadsSites(reads="prompt"),
        "tokens": "tail",
        "ridge": 0.01,
        "ridge_absolute": None,
        "erase_weight": 1.0,
    }
    return Refine(**{**settings, **changes})


def term(kind: str, during: Window = WHOLE, weight: float = 1.0, strength: float = 1.0, label: str = "") -> Term:
    settings: dict[str, Any] = {"label": label or kind, "during": during, "weight": weight}
    made: Term = declared(TERMS, kind)(**settings, **({"strength": strength} if kind == "push" else {}))
    return made


def steer(**changes: Any) -> Steer:
    settings: dict[str, Any] = {
        "label": "steer",
        "on": ReadsSites(reads="text"),
        "rank": 2,
        "steps": 12,
        "rate": 1e-2,
        "loss": "prediction",
        "batch": 8,
        "trajectories": 6,
        "sampler_steps": 5,
        "guidance": None,
        "refresh": 0,
        "gate": None,
        "seed": 0,
        "terms": (term("push", LATE), term("hold", EARLY, 0.5), term("blank", weight=0.5), term("keep", weight=3.0)),
    }
    return Steer(**{**settings, **changes})


def fuse(ridge: float = 1e-6, keep_weight: float = 1.0) -> Fuse:
    return Fuse(label="fuse", ridge=ridge, keep_weight=keep_weight)


def erasure(*targets: str, anchor: tuple[str, ...] | None = None, away: bool = False, degree: float = 1.0) -> Erasure:
    return Erasure(targets=targets, anchor=anchor, away=away, degree=degree)


def plan(erase: tuple[Erasure, ...], *passes: Any, preserve: dict[str, float] | None = None) -> Plan:
    """A plan over one-word concepts; each has the two templates `a {}` and `the {} here`."""
    kept = {"dog": 1.0, "horse": 0.5} if preserve is None else preserve
    names = {name for one in erase for name in (*one.targets, *(one.anchor or ()))} | set(kept)
    words = {"cat": ("cat", "small kitty")}
    concepts = tuple(
        Concept(name=name, kind="object", names=words.get(name, (name,)), probes=(), templates=("a {}", "the {} here"))
        for name in sorted(names)
    )
    return Plan(
        recipe=RecipeInfo(),
        concepts=concepts,
        erase=erase,
        preserve=tuple(Preservation(concepts=(name,), weight=weight) for name, weight in sorted(kept.items())),
        method=Method(name="test", passes=passes),
        expect=(),
        sources=(),
    )


def bound(p: Plan, model: Any) -> BoundPlan:
    """The plan on a model's own facts."""
    return bind(p, Facts("toy", model.sites, getattr(model, "clock", ToyClock())))


def part(step: Any, model: Any, preserve: dict[str, float] | None = None) -> BoundPass:
    """One pass, bound in a plan that erases a cat."""
    (made,) = bound(plan((erasure("cat"),), step, preserve=preserve), model).passes
    return made


def run(p: Plan, model: Any, *options: Any, **more: Any) -> Edit:
    """The edit of a plan, bound to the model that it is made for."""
    return engine.run(bound(p, model), model, *options, **more)


def constraints(p: Plan, step: Refine, text: Any, inputs: list[str]) -> dict[str, Constraints]:
    """Of all of a plan's statements, as that pass asks for them."""
    return statements.constraints(p, p.active, p.preserve, text, inputs, step.tokens, step.erase_weight)


def fused(p: Plan, model: Any, edit: Edit, progress: Progress | None = None) -> Edit:
    """The edit after the plan's last pass, a `fuse`."""
    return fusing.run(bound(p, model).passes[-1], p, model, edit, Options(progress))
