"""The ways into the picture that an edit leaves as they were."""

from __future__ import annotations

import torch

from tracelang.evidence.schema import Reach
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Plan


def untouched(base: Model, changed: set[str], same_states: bool, reaches: tuple[Reach, ...]) -> tuple[str, ...]:
    """The ways into the picture that the edit leaves as they were, a line each."""
    found = []
    for name in dict.fromkeys(site.reads for site in base.sites):
        sites = [site for site in base.sites if site.reads == name]
        left = sum(site.tensor not in changed for site in sites)
        if left and name is None:
            found.append(
                f"self-attention, feed-forward and all else that reads the picture ({left} of {len(sites)} matrices): "
                "what is in a picture already is carried on, so image-to-image, inpainting and image prompts may "
                "bring the concept back"
            )
        elif left:
            found.append(f"the text input `{name}`: {left} of {len(sites)} matrices that read it are as they were")
    if same_states:
        found.append("the text encoder: the words still mean what they meant, to this model and to any other")
    undone = [reach for reach in reaches if reach.undone is not None and reach.price is not None]
    if undone:
        worst = max(undone, key=_openness)
        most = f"{worst.price:.3g} times as long take back {worst.undone:.0%}"
        parts = [f"{price:.3g} times as long take back {share:.0%}" for share, price in worst.cheaper]
        prices = "; ".join([*parts, most])
        found.append(
            f"a new embedding: states {prices} of what the edit does to {' & '.join(worst.member)}, the most open of "
            "those erased"
        )
    found.append("the empty prompt: what is drawn without a word is kept on purpose")
    found.append("fine-tuning: whoever holds the weights can train the concept into them again")
    return tuple(found)


def same_states(plan: Plan, base: Model, edited: Model) -> bool:
    """Does the text encoder say what it said, of everything that is erased and of nothing?"""
    prompts = ["", *(prompt.text for erasure in plan.erase for prompt in edit_prompts(plan, erasure.targets))]
    before, after = (model.encode(prompts).inputs for model in (base, edited))
    return all(torch.equal(value.cpu(), after[name].cpu()) for name, value in before.items())


def _openness(reach: Reach) -> tuple[int, float, float]:
    """How easily an edit is undone: the larger the shares within reach, and the cheaper they are."""
    prices = [price for _, price in reach.cheaper]
    return len(prices), -prices[min(1, len(prices) - 1)] if prices else 0.0, reach.undone or 0.0
