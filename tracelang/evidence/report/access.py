"""What an attacker needs for an attack, on which rung of the ladder that is, and what its pictures were drawn from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tracelang.evidence.report.spent import asks_nothing
from tracelang.evidence.schema import AttackFinding
from tracelang.semantics.tables import ATTACKS, Access

SOMETHING = "Each model drew the prompt, and was given something of a picture of the concept."


class Need(NamedTuple):
    """`means`: what an attacker does and has; `rung`: of the ladder's adversaries; `given`: what both models got."""

    means: str
    rung: str
    given: str


NEEDS: dict[Access, Need] = {
    "black box": Need(
        "types prompts into the edited model, and looks at its pictures",
        "words",
        "Both models were given the same text, which anyone can type.",
    ),
    "white box": Need(
        "holds the edited weights to search for a prompt; whoever gets to know it only types it",
        "weights to find it, words to use it",
        "Both models were given the same text, searched for with the weights; anyone can type it.",
    ),
    "soft states": Need(
        "hands over text states (the numbers that a text encoder makes of words) in place of words",
        "embeddings",
        "Both models were given the same text states, made for the edited model; nobody can type them.",
    ),
    "sampler": Need(
        "runs the model’s sampler, and chooses the noise at each step",
        "noise",
        "Each model drew the prompt, with fresh noise at every step: the best of several for that very model.",
    ),
    "sampler and pictures": Need(
        "runs the model’s sampler, and has pictures of the concept from elsewhere, or the beginning of one",
        "picture context",
        SOMETHING,
    ),
    "gradients and pictures": Need(
        "holds the weights and pictures of the concept, and fits the noise from which drawing begins to such a picture",
        "weights to find it, noise to use it",
        "Each model was given noise that was fitted, with that very model, to a picture of the concept, and no words.",
    ),
}
GIVEN = {
    "complete": "Each model drew the prompt, going on from the first steps of a picture that the model before the edit "
    "had begun.",
    "inpaint": "Each model drew the prompt into the masked middle of a picture of the concept, whose surroundings it "
    "was given: the same for both.",
    "classifier": "Each model drew the prompt while a classifier of the concept pulled at the picture: the best of "
    "several.",
}
"""Of attacks that get something else than all others of their access."""


def given(attack: str) -> str:
    """What the models of a pair of pictures were given; empty of an attack that this version does not know."""
    return GIVEN.get(attack, NEEDS[ATTACKS[attack][0]].given if attack in ATTACKS else "")


def legend(attacks: Iterable[AttackFinding]) -> list[tuple[Access, str, str]]:
    """Of each access that one of the attacks has: the word, what an attacker needs, and the ladder's rung."""
    found = list(attacks)
    told = []
    for access, need in NEEDS.items():
        own = [one for one in found if one.access == access]
        typed = access == "black box" and any(one.budget.get("evaluations") == 0 for one in own)
        means = need.means
        if typed:
            means += ". Where it asked the model 0 questions, its prompts were made without the model, "
            alone = all(asks_nothing(one.budget) for one in own)
            means += "by rule" if alone else "by rule or with a copy of its text encoder, which is public"
        if own:
            told.append((access, means, need.rung))
    return told
