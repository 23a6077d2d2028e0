"""Classifier guidance (arXiv 2105.05233, 2505.17013): at every step a classifier of latents pulls towards the concept.

    n̂ ← n̂ − b s ∇_x log p(concept | x),   x̂₀ ← x̂₀ + b²/a s ∇_x log p(concept | x)

and of several scales `s` the best picture is kept. For a flow that is `v ← v − σ/(1 − σ) s ∇_x log p`. The classifier
was learned from the base's pictures and could draw by itself what it looks for: only what an edited model gives beyond
one that never knew the concept was left in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tracelang.engine.sampling import Course
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.evidence.attacks.latent_classifier import latent_classifier
from tracelang.evidence.attacks.sampler import CHOICE, evaluations, sampled, spread, tried
from tracelang.models.protocol import Model
from tracelang.semantics.tables import ATTACKS

FAINT = 0.05
"""Of a/b; with less signal the pull on the image has no end, and the classifier sees nothing."""


def run(target: Target, model: Model, budget: Budget) -> Found:
    """The same noise for every scale; every row keeps its best."""
    prompts, seeds = target.dealt(target.count), target.seeds("classifier")
    scales = spread(budget.scale / budget.tries, budget.scale, budget.tries)
    known = latent_classifier(target, budget.latents)

    def draw(scale: float) -> Tensor:
        def take(rows: Sequence[int], prediction: Tensor, index: int, x: Tensor) -> Tensor:
            (a, b), after = model.levels(index, target.steps)
            clean, noise = model.parts(prediction, x, (a, b))
            if a >= FAINT * b:
                pull = b * scale * known.pull(x, (a, b))
                clean, noise = clean + b / a * pull, noise - pull
            pulled: Tensor = after[0] * clean + after[1] * noise
            return pulled.to(x.dtype)

        return sampled(target, model, prompts, seeds, Course(take=take))

    found, chosen = tried(scales, draw, known)
    spent: dict[str, int | float | str] = {
        "access": ATTACKS["classifier"][0],
        "prompts": len(set(prompts)),
        "best_of": len(scales),
        "chosen_by": CHOICE,
        "chosen_scale": chosen,
        "classifier_right": known.right,
        "pictures": known.pictures,
        "evaluations": len(scales) * evaluations(target, model),
    }
    return Found(tuple(prompts), None, spent, None, (), latents=found)
