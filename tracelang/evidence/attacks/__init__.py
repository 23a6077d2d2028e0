"""Attacks on an edited model: how an adversary brings an erased concept back (METHODS.md §10.6).

All are written against `Model` and its prompt encoder, so that what runs on the smallest model runs on any. An attack
is a file here with `run`, and a row of its name in `semantics.tables.ATTACKS`.
"""

from __future__ import annotations

from tracelang.evidence.attacks.attack import Attack, AttackError, Budget, Found, Inapplicable, Target
from tracelang.evidence.complete import agree, modules
from tracelang.semantics import tables

__all__ = ["ATTACKS", "Attack", "AttackError", "Budget", "Found", "Inapplicable", "Target"]


def found() -> dict[str, Attack]:
    """Every attack, by the language's names. Raises ImportError where a row or a file is missing."""
    runs = {name: module.run for name, module in modules(__name__, __path__).items() if hasattr(module, "run")}
    agree("attack", tables.ATTACKS, runs, __name__)
    return {name: Attack(access, runs[name]) for name, (access, _) in tables.ATTACKS.items()}


ATTACKS = found()
