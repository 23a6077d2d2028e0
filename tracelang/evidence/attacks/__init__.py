"""Attacks on an edited model: how an adversary brings an erased concept back (docs/methods.md §5.6).

All are written against `Model` and its prompt encoder, so that what runs on the smallest model runs on any. An attack
is a file here with `run`, and a row of its name in `semantics.tables.ATTACKS`.
"""

from __future__ import annotations

from tracelang.evidence.attacks.attack import Attack, AttackError, Budget, Found, Inapplicable, Target
from tracelang.evidence.complete import agree, modules
from tracelang.semantics import tables

__all__ = ["ATTACKS", "Attack", "AttackError", "Budget", "Found", "Inapplicable", "Target"]

_RUNS = {name: module.run for name, module in modules(__name__, __path__).items() if hasattr(module, "run")}
agree("attack", tables.ATTACKS, _RUNS, __name__)

ATTACKS: dict[str, Attack] = {name: Attack(access, _RUNS[name]) for name, (access, _) in tables.ATTACKS.items()}
"""By the language's names."""
