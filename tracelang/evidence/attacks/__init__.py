"""Attacks on an edited model: how an adversary brings an erased concept back (METHODS.md §10.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from tracelang.engine.protocol import Model, TextStates
from tracelang.plan.types import Member, Plan


@dataclass(frozen=True, slots=True)
class Budget:
    """What an attacker may spend."""


@dataclass(frozen=True, slots=True)
class Quarry:
    """What is hunted: `clean` latents `[m, …]` of the concept as the base draws it, and its names' prompts."""

    plan: Plan
    member: Member
    seed: int
    clean: Tensor
    prompts: tuple[str, ...]
    base: Model
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """`count` rows: prompts that anyone can draw, or soft states."""

    prompts: tuple[str, ...] | None
    states: TextStates | None
    budget: Mapping[str, int | float | str]
    price: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    access: Literal["black box", "white box", "soft states"]
    run: Callable[[Quarry, Model, Budget], Found]


ATTACKS: dict[str, Attack] = {}
"""By name, as in `semantics.tables.ATTACKS`."""
