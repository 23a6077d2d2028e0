"""What an attack spent, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
}
SHARES = ("undone",)
ASKS = ("evaluations", "encodings")
"""What an attack spends that asks the model."""

Budget = Mapping[str, int | float | str]


def spent(budget: Budget) -> Iterator[tuple[str, str]]:
    """Label and figure, the access left out, which stands with the attack's name."""
    for key, value in budget.items():
        if key != "access":
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
