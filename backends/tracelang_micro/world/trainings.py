"""The trainings by name: the shipped models, further bases of other seeds, and the twins that never knew.

A twin has the architecture, the steps and, picture for picture, the order of the base of its seed, but no picture and
no caption of what it never knew (`pictures.without`, `captions`). It shares tokenizer, autoencoder and judge with all
of them, and the autoencoder has seen those pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from .concepts import NEVER


@dataclass(frozen=True, slots=True)
class Training:
    """One model: its seed (1 is the shipped models'), what it never knew, and for FLUX whose CLIP it takes over."""

    seed: int
    missing: tuple[str, ...] = ()
    clip: str = ""


TRAININGS = {
    "micro-sd": Training(1),
    "micro-sd-never-1": Training(1, NEVER),
    "micro-sd-seed-2": Training(2),
    "micro-sd-never-2": Training(2, NEVER),
    "micro-sd-seed-3": Training(3),
    "micro-sd-never-3": Training(3, NEVER),
    "micro-flux": Training(1, clip="micro-sd"),
    "micro-flux-never-1": Training(1, NEVER, clip="micro-sd-never-1"),
}


def offset(seed: int) -> int:
    """What a training of that seed adds to every seed it draws from; 0 for the shipped models'."""
    return 1_000_003 * (seed - 1)
