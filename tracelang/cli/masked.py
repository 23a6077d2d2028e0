"""What the masks of an edit left of the weights: overall, beside what chance would, and of the matrices that kept
least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracelang.plan.types import Plan
from tracelang.semantics.passes.mask import Mask

SHOWN = 8
"""Matrices of a mask that are shown; the lock has all of them."""


def masked(plan: Plan, figures: Mapping[str, Any]) -> Iterator[str]:
    """Lines for people, from an edit's figures."""
    for step in plan.method.passes:
        for one in figures.get(step.label, ()) if isinstance(step, Mask) else ():
            yield (
                f"{step.label}: {one['concept']}: {one['share']:.3%} of {one['of']:,} weights are left by "
                f"{one['runs']} runs; masks of chance would leave {one['by_chance']:.2g} of them"
            )
            layers = sorted(one["layers"].items(), key=lambda item: item[1])
            yield from (f"  {share:9.3%}  {tensor}" for tensor, share in layers[:SHOWN])
            if rest := layers[SHOWN:]:
                yield f"  {rest[0][1]:.3%} to {rest[-1][1]:.3%} of {len(rest)} more, in lock.json"
