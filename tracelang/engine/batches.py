"""How many rows go through a model at once: decided by the size of a latent alone, so that a machine decides no bit."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeVar

Row = TypeVar("Row")


def batch_size(latent: Sequence[int], elements: int, most: int) -> int:
    """As many latents of this shape as hold `elements` numbers: at least one, at most `most`."""
    return min(most, max(1, elements // prod(latent)))


def batches(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    """The rows in order, `size` at a time."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]
