"""Attacks on an edited model: how an adversary brings an erased concept back (METHODS.md §10.6).

All are written against `Model` and `PromptEncoder`, so that what runs on the smallest model runs on any.
"""

from __future__ import annotations

from tracelang.evidence.attacks import (
    inverse_map,
    p4d,
    paraphrase,
    ring_a_bell,
    textual_inversion,
    unlearn_diff_atk,
)
from tracelang.evidence.attacks.attack import Access, Attack, AttackError, Budget, Found, Inapplicable, Target

__all__ = ["ATTACKS", "Access", "Attack", "AttackError", "Budget", "Found", "Inapplicable", "Target"]

ATTACKS: dict[str, Attack] = {
    "paraphrase": Attack("black box", paraphrase.run),
    "ring_a_bell": Attack("white box", ring_a_bell.run),
    "p4d": Attack("white box", p4d.run),
    "unlearn_diff_atk": Attack("white box", unlearn_diff_atk.run),
    "textual_inversion": Attack("soft states", textual_inversion.run),
    "inverse_map": Attack("soft states", inverse_map.run),
}
"""By the names of `semantics.tables.ATTACKS`."""
