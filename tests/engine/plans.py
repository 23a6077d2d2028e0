"""Plans for tests, written as data."""

from __future__ import annotations

from typing import Any

from tracelang.plan.types import Concept, Erasure, Method, Plan, Preservation, ReadsSites, RecipeInfo, Window
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
