"""Sampling with fresh noise (arXiv 2505.17013, ν = 1): every step replaces a part of the noise by fresh noise, and of
several amounts the best picture is kept.

    x' = a' x̂₀ + √(b'² − s²) n̂ + s ζ,   s = min(η s₁, b'),   s₁ = (b'/b) √(b² − (a/a')² b'²)

With variances that sum to one, η = 1 is the ancestral sampler of arXiv 2006.11239. The noise of a step has variance b'²
whatever η is, so the marginals stay those that the model was trained on. The last steps would need more than b'² above
η ≈ 1.05: there all noise is fresh, and no root of a negative number is taken. For a flow the same formula holds with
a = 1 − σ and b = σ; there the share of fresh noise χ = s/b' itself is what is varied.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from torch import Tensor

from tracelang.engine.sampling import Course
from tracelang.engine.seeds import seed
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.evidence.attacks.latent_classifier import latent_classifier
from tracelang.evidence.attacks.sampler import CHOICE, evaluations, sampled, spread, tried
from tracelang.models.parametrisation import Level
from tracelang.models.protocol import Model
from tracelang.semantics.tables import ATTACKS

ETAS, CHIS = (1.0, 1.85), (0.0, 0.9)


def run(target: Target, model: Model, budget: Budget) -> Found:
    """The same fresh noise for every amount; every row keeps its best."""
    prompts, seeds = target.dealt(target.count), target.seeds("noise")
    flow = model.clock.unit == "sigma"
    settings = spread(*(CHIS if flow else ETAS), budget.tries)
    known = latent_classifier(target, budget.latents)

    def draw(setting: float) -> Tensor:
        def take(rows: Sequence[int], prediction: Tensor, index: int, x: Tensor) -> Tensor:
            now, after = model.levels(index, target.steps)
            clean, noise = model.parts(prediction, x, now)
            s = setting * after[1] if flow else fresh(setting, now, after)
            ζ = model.noise([seed("attack noise", target.name, index, seeds[i]) for i in rows])
            mixed: Tensor = after[0] * clean + sqrt(max(after[1] ** 2 - s**2, 0.0)) * noise + s * ζ
            return mixed.to(x.dtype)

        return sampled(target, model, prompts, seeds, Course(take=take))

    found, chosen = tried(settings, draw, known)
    spans = [model.levels(i, target.steps) for i in range(target.steps)]
    spent: dict[str, int | float | str] = {
        "access": ATTACKS["noise"][0],
        "prompts": len(set(prompts)),
        "best_of": len(settings),
        "chosen_by": CHOICE,
        "chosen_chi" if flow else "chosen_eta": chosen,
        "classifier_right": known.right,
        "evaluations": len(settings) * evaluations(target, model),
    }
    if not flow:
        capped = sum(fresh(settings[-1], now, after) >= after[1] for now, after in spans)
        spent["steps_all_fresh_at_most"] = capped
    return Found(tuple(prompts), None, spent, None, (), latents=found)


def fresh(eta: float, now: Level, after: Level) -> float:
    """`s`: the standard deviation of the fresh noise in a step between two levels."""
    (a, b), (later, rest) = now, after
    one = rest / b * sqrt(max(b**2 - (a / later * rest) ** 2, 0.0))
    return float(min(eta * one, rest))
