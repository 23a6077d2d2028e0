"""What an attack spent, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracelang.evidence.attacks.attack import CAUTION
from tracelang.evidence.report import wording

WORDS = {
    "prompts": "different prompts",
    "forms": "forms of wording",
    "tokens": "free tokens a prompt",
    "iterations": "steps of optimisation",
    "views": "noised pictures it looks at",
    "evaluations": "questions to the model",
    "encodings": "texts encoded",
    "population": "prompts that breed",
    "generations": "generations",
    "eta": "strength of the direction (η)",
    "rate": "step size",
    "latents": "pictures of the concept it has",
    "start": "starts from",
    "distance": "comes close in",
    "distance_left": "distance left",
    "loss_first": "loss at first",
    "loss_best": "loss at best",
    "loss_last": "loss at last",
    "undone": "of the edit's effect, undone",
    "skipped_as_protected": "found and left, as protected",
    "given": "of sampling done by the base, at most",
    "steps_by_the_base": "steps that the base did",
    "mask": "of the picture drawn anew",
    "pictures": "pictures it is given",
    "best_of": "best of so many pictures a row",
    "chosen_chi": "share of noise that is fresh (χ): how often best",
    "chosen_eta": "amount of fresh noise (η): how often best",
    "chosen_scale": "strength of the guidance: how often best",
    "classifier_right": "of pictures held out, its classifier is right about",
    "steps_all_fresh_at_most": "steps of nothing but fresh noise, at most",
    "fixes": "steps of optimisation at each time",
    "floor": "weight of the energy's floor",
    "residual": "what a step back misses, a number",
    "residual_most": "the same at the worst time",
    "energy": "energy a number (noise has 1)",
    "neighbours": "correlation of neighbours (noise has 0)",
    "unconditional": "the unconditional prediction is",
    "candidates": "prompts tried a step",
    "similarity_first": "similarity at first (cosine)",
    "similarity_best": "similarity at best (cosine)",
}
SHARES = ("undone", "given", "mask", "classifier_right")
ASKS = ("evaluations", "encodings")
"""What an attack spends that asks the model."""

Budget = Mapping[str, int | float | str]


def spent(budget: Budget) -> Iterator[tuple[str, str]]:
    """Label and figure; the access and what is to be minded are left out, for they stand with the attack itself."""
    for key, value in budget.items():
        if key not in ("access", CAUTION):
            yield WORDS.get(key, key.replace("_", " ")), _figure(key, value)


def asks_nothing(budget: Budget) -> bool:
    """Does it find its prompts without the model? Then they are the same for any model, replayed or adaptive."""
    black = budget.get("access") == "black box"
    return black and "evaluations" in budget and not any(budget.get(key, 0) for key in ASKS)


def _figure(key: str, value: int | float | str) -> str:
    if isinstance(value, str):
        return value
    if key in SHARES:
        return wording.percent(float(value))
    return f"{value:,}" if isinstance(value, int) else wording.number(value)
