"""The closed-form inverse probe: text states that the edited matrices read as the base read the concept's.

    e' = argmin Σ_W ‖ W'e' − W e ‖²   over every matrix that reads prompts  (RECE, arXiv 2407.12383; docs/methods.md §6)

A closed form `W' = W T` with an invertible `T` is undone exactly by `e' = T⁻¹e`; what resists is a `T` that loses a
direction, and change outside these matrices. The price is how much longer the attacker's states are; undoing the last
few per cent can cost a hundred times what undoing the rest does, so the price of either is recorded.
"""

from __future__ import annotations

import torch

from tracelang.engine.exact import exact
from tracelang.evidence.attacks.attack import AttackError, Budget, Found, Inapplicable, Target
from tracelang.evidence.attacks.reading import readings
from tracelang.models.protocol import Model, TextStates


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Every prompt of the target at once; no gradient, no sampling."""
    prompts = list(dict.fromkeys(target.prompts))[: target.count]
    own = target.base.encode(prompts)
    inputs = dict(own.inputs)
    spent: dict[str, int | float | str] = {"access": "soft states", "prompts": len(prompts), "evaluations": 0}
    prices = []
    grams = readings("inverse_map", target.base, model)
    if not grams:
        raise Inapplicable("inverse_map: no matrix of this model reads prompt states alone, so there is none to invert")
    for name, reading in grams.items():
        states = exact(own.inputs[name]).flatten(0, 1)
        found, ridge = reading.inverse(states, budget.left)
        if not torch.isfinite(found).all():
            raise AttackError(f"inverse_map: the states for {name} are not finite; the edited weights cannot be used")
        prices.append(float(found.norm() / states.norm()))
        spent |= {
            f"ridge_{name}": ridge,
            f"price_{name}": prices[-1],
            f"price_{name}_entirely": float(reading.inverse(states, 0.0)[0].norm() / states.norm()),
            f"residual_{name}": reading.residual(states, found),
            f"residual_before_{name}": reading.residual(states, states),
        }
        inputs[name] = found.view(own.inputs[name].shape).to(own.inputs[name])
    rows = TextStates(inputs).rows([i % len(prompts) for i in range(target.count)])
    return Found(None, rows, spent, max(prices), ())
