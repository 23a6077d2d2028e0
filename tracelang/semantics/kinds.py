"""The passes and terms that there are: one file each in `passes` and `terms`, and no list beside the folders.

A file is named after the kind that it declares, and holds one class of that name. It is imported when something names
the kind: a recipe, or a plan.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from tracelang.records import dataclass
from tracelang.semantics.fields import number, window
from tracelang.semantics.values import WHOLE, Window

PASSES, TERMS = "tracelang.semantics.passes", "tracelang.semantics.terms"


@dataclass(frozen=True, slots=True)
class Pass:
    """A step of a method, with its settings. `closed_form`: text states and weights decide it, it samples nothing."""

    kind: str
    label: str
    closed_form = False

    @property
    def terms(self) -> tuple[Term, ...]:
        """What a pass of several parts adds up; most have none."""
        return ()


@dataclass(frozen=True, slots=True)
class Term:
    """A windowed part of a pass's loss."""

    kind: str
    label: str
    during: Window = window(WHOLE, "where along the trajectory")
    weight: float = number(1.0, "weight in the loss", low=0, more=True)


def kinds(package: str) -> list[str]:
    """What the folder of a package lists, by name."""
    names = (name for folder in import_module(package).__path__ for name in os.listdir(folder))
    return sorted(name[:-3] for name in names if name.endswith(".py") and not name.startswith("_"))


def declared(package: str, kind: str) -> Any | None:
    """The class that declares a kind; None where the folder has no file of that name."""
    if kind not in kinds(package):
        return None
    return getattr(import_module(f"{package}.{kind}"), "".join(part.title() for part in kind.split("_")))


def takes_terms(declaration: Any) -> bool:
    """Whether a pass is made of terms."""
    return "terms" in declaration.__options__


def does(declaration: Any) -> str:
    """What a pass or a term does, in the words of its declaration: the first sentence there."""
    first = " ".join(declaration.__doc__.partition("\n\n")[0].split())
    return first[0].lower() + first[1:].removesuffix(".")
