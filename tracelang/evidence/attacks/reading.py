"""What the prompt-reading matrices of two models make of text states, in the width of the states alone.

`Σ ‖W'e' − We‖²` over all matrices that read one text input needs only `H' = Σ W'ᵀW'`, `C = Σ W'ᵀW` and `H = ΣWᵀW`,
each `[d, d]`, however many matrices there are (docs/methods.md §4.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.exact import exact
from tracelang.evidence.attacks.attack import AttackError
from tracelang.models.protocol import Model

RIDGES = tuple(10.0**power for power in range(0, -11, -1))
"""Relative to the mean eigenvalue of `H'`."""
ROUNDING = 1e-6
"""Of a reading: nearer than float32 keeps it, nothing is worth a longer state."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The three Grams of one text input, float64 on the CPU: `edited` H', `cross` C, `base` H."""

    edited: Tensor
    cross: Tensor
    base: Tensor

    def inverse(self, states: Tensor, left: float) -> tuple[Tensor, float]:
        """`argmin_e' Σ‖W'e' − We‖² + λ‖e'‖²` for states `[n, d]`, and λ relative to the mean eigenvalue of H'.

        λ is the largest that leaves, beyond what no state could undo, the share `left` of what the edit did: the last
        bit of an inverse is paid in length, and brings nothing back that a picture would show.
        """
        values, vectors = torch.linalg.eigh(self.edited)
        pulled = (states @ self.cross.T) @ vectors
        mean = float(values.clamp_min(0).mean())
        if not mean:
            return torch.zeros_like(states), 0.0
        tried = [(r, (pulled / (values.clamp_min(0) + r * mean)) @ vectors.T) for r in RIDGES]
        missed = [self.residual(states, found) for _, found in tried]
        least = min(missed) ** 2
        bound = least + (left * self.residual(states, states)) ** 2 + ROUNDING * least + ROUNDING**2
        ridge, found = next(one for one, r in zip(tried, missed, strict=True) if r**2 <= bound)
        return found, ridge

    def residual(self, states: Tensor, found: Tensor) -> float:
        """`‖W'e' − We‖ / ‖We‖` over all rows and matrices."""
        whole = ((states @ self.base) * states).sum()
        left = whole - 2 * ((found @ self.cross) * states).sum() + ((found @ self.edited) * found).sum()
        return float((left.clamp_min(0) / whole).sqrt()) if whole > 0 else 0.0

    def root(self) -> Tensor:
        """`R` with `‖R e‖² = Σ ‖W'e‖²`."""
        values, vectors = torch.linalg.eigh(self.edited)
        root: Tensor = values.clamp_min(0).sqrt()[:, None] * vectors.T
        return root


def readings(attack: str, base: Model, edited: Model) -> dict[str, Reading]:
    """By text input; an input that no matrix reads alone has none. Raises `AttackError` on NaN or infinity."""
    found: dict[str, Reading] = {}
    for site in base.sites:
        if site.reads is None:
            continue
        W, W_ = (exact(model.weight(site)[:, site.part]) for model in (base, edited))
        if not (torch.isfinite(W).all() and torch.isfinite(W_).all()):
            raise AttackError(f"{attack}: {site.tensor} holds NaN or infinity, so nothing can be read through it")
        grams = Reading(W_.T @ W_, W_.T @ W, W.T @ W)
        known = found.get(site.reads)
        found[site.reads] = (
            grams
            if known is None
            else Reading(known.edited + grams.edited, known.cross + grams.cross, known.base + grams.base)
        )
    return found
